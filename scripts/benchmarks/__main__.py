"""Dispatch: ``scripts/bench accuracy|algebra|cluster|device|glm|memory|scale|speed|survive|tables|training``."""

import argparse

import accuracy
import algebra
import cluster
import device
import glm
import memory
import scale
import speed
import survive
import tables
import training

parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure streamreg and its peers in one run.")
commands = parser.add_subparsers(
    required=True, metavar="accuracy|algebra|cluster|device|glm|memory|scale|speed|survive|tables|training"
)
for module in (accuracy, algebra, cluster, device, glm, memory, scale, speed, survive, tables, training):
    command = commands.add_parser(module.__name__, help=(module.__doc__ or "").splitlines()[0])
    module.options(command)
    command.set_defaults(run=module.run)
arguments = parser.parse_args()
arguments.run(arguments)
