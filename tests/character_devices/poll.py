# A program that waits for several things at once, and does not want to wait in a read.
import os, select, sys

board = os.open(sys.argv[1], os.O_RDWR | os.O_NONBLOCK)
poll = select.poll()
poll.register(board, select.POLLIN | select.POLLOUT)
assert poll.poll(0) == [(board, select.POLLOUT)]
try:
    os.read(board, 1)
except BlockingIOError:
    pass
else:
    raise AssertionError("there was nothing to read")
poll.modify(board, select.POLLIN)
assert os.write(board, b"both ways") == 9
assert poll.poll(60_000) == [(board, select.POLLIN)]
# What one read leaves, the next one gets.
assert os.read(board, 4) == b"both"
assert os.read(board, 64) == b" ways"
