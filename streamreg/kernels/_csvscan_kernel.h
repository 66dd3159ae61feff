/* One look at the bytes of a delimited text, 64 at a time, for one instruction set. Included by _csvscan.c, which says
 * what NAME, TARGET and MATCH are: MATCH(p, c) has a bit for each of the 64 bytes from p on that is c.
 *
 * A range may begin inside quotes or outside them, and nobody knows which until all before it has been read. So both are
 * counted: what is quoted if it begins outside is not quoted if it begins inside. The prefix sums of the quotes as bits
 * come from shifts (Langdale & Lemire 2019, "Parsing gigabytes of JSON per second", section 3.1.1, where a carry-less
 * product does it).
 */

TARGET static void NAME(scan)(const uint8_t *data, ptrdiff_t size, ptrdiff_t lead, int delimiter, int quote,
                              int64_t limit, struct side side[2], int *odd)
{
    const uint8_t *p = data + lead;
    ptrdiff_t m = size - lead;
    uint8_t last = lead ? p[-1] : '\n';
    uint64_t inside = 0, newline = last == '\n', before = lead < 2 || p[-2] == '\n';
    /* The byte before: may a quote open after it; did a quote close there; is it a bare return, outside quotes? */
    uint64_t opens = last == '\n' || last == delimiter || (quote >= 0 && last == quote);
    uint64_t closed[2] = {lead && quote >= 0 && last == quote, 0}, returned[2] = {last == '\r', 0};
    uint64_t carriage = last == '\r';
    for (ptrdiff_t at = 0; at < m; at += 64) {
        const uint8_t *block = p + at;
        uint8_t rest[64] = {0};
        uint64_t valid = ~(uint64_t)0;
        if (m - at < 64) {
            memcpy(rest, block, (size_t)(m - at));
            block = rest, valid >>= 64 - (m - at);
        }
        uint64_t lf = MATCH(block, '\n'), cr = MATCH(block, '\r'), q = quote >= 0 ? MATCH(block, quote) : 0;
        uint64_t quoted = inside;
        if (q | closed[0] | closed[1]) {
            uint64_t separates = lf | MATCH(block, delimiter), x = q;
            x ^= x << 1, x ^= x << 2, x ^= x << 4, x ^= x << 8, x ^= x << 16, x ^= x << 32;
            quoted = x ^ inside;
            uint64_t odd_ones = q & quoted, even_ones = q & ~quoted; /* these open and these close, or the other way round */
            uint64_t may_open = (separates | q) << 1 | opens, may_follow = separates | q | cr | ~valid;
            side[0].irregular |= ((odd_ones & ~may_open) | ((even_ones << 1 | closed[0]) & ~may_follow)) != 0;
            side[1].irregular |= ((even_ones & ~may_open) | ((odd_ones << 1 | closed[1]) & ~may_follow)) != 0;
            closed[0] = even_ones >> 63, closed[1] = odd_ones >> 63;
            inside = (uint64_t)((int64_t)quoted >> 63);
        }
        opens = (lf | q) >> 63 || block[63] == delimiter;
        uint64_t blank = lf & ((lf << 1 | newline) | ((cr << 1 | carriage) & (lf << 2 | newline << 1 | before)));
        if (cr | returned[0] | returned[1]) {
            side[0].irregular |= (((cr & ~quoted) << 1 | returned[0]) & ~lf & valid) != 0;
            side[1].irregular |= (((cr & quoted) << 1 | returned[1]) & ~lf & valid) != 0;
            returned[0] = (cr & ~quoted) >> 63, returned[1] = (cr & quoted) >> 63;
        }
        before = lf >> 62 & 1, newline = lf >> 63, carriage = cr >> 63;
        uint64_t ends[2] = {lf & ~blank & ~quoted, lf & ~blank & quoted};
        for (int h = 0; h < 2; h++) {
            int64_t found = side[h].records, here = __builtin_popcountll(ends[h]);
            if (found < limit && found + here >= limit) {
                uint64_t left = ends[h];
                for (int64_t k = found + 1; k < limit; k++) left &= left - 1;
                side[h].at = lead + at + __builtin_ctzll(left) + 1;
            }
            side[h].records = found + here;
        }
        if (limit > 1 && side[0].at >= 0) break; /* only one who knows that it begins outside asks for a later record */
    }
    *odd = inside != 0;
}

#undef NAME
#undef TARGET
#undef MATCH
