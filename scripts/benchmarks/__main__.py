"""Dispatch: ``scripts/bench NAME``, of one module of this folder each."""

import argparse

import accuracy
import algebra
import budgets
import cluster
import cold
import device
import glm
import memory
import scale
import speed
import survive
import tables
import training

parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure streamreg and its peers in one run.")
modules = (accuracy, algebra, budgets, cluster, cold, device, glm, memory, scale, speed, survive, tables, training)
commands = parser.add_subparsers(required=True, metavar="|".join(module.__name__ for module in modules))
for module in modules:
    command = commands.add_parser(module.__name__, help=(module.__doc__ or "").splitlines()[0])
    module.options(command)
    command.set_defaults(run=module.run)
arguments = parser.parse_args()
arguments.run(arguments)
