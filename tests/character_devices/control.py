# Control codes of the board's driver: by a block, as docs/character-devices.md describes it.
import ctypes, errno, fcntl, os, sys

CONTROL, FLUSH = 0xC028F700, 0x0000F701
GET_BAR_GRAPH, SET_BAR_GRAPH, READ_SWITCHES = 0xFFDC6010, 0xFFDCA014, 0xFFDC6018


class Block(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_uint32),
        ("error", ctypes.c_uint32),
        ("input", ctypes.c_void_p),
        ("output", ctypes.c_void_p),
        ("input_length", ctypes.c_uint32),
        ("output_length", ctypes.c_uint32),
        ("returned", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    ]


def control(file, code, given=b"", room=0):
    source = ctypes.create_string_buffer(given, len(given))
    output = ctypes.create_string_buffer(room)
    block = Block(code, 0, ctypes.addressof(source), ctypes.addressof(output), len(given), room)
    try:
        fcntl.ioctl(file, CONTROL, block)
    except OSError as failed:
        return failed.errno, block.error
    return output.raw[: block.returned]


def fails(number, call, *arguments):
    try:
        call(*arguments)
    except OSError as failed:
        assert failed.errno == number, failed
    else:
        raise AssertionError("it did not fail")


board = os.open(sys.argv[1], os.O_RDWR)
assert control(board, SET_BAR_GRAPH, b"\x5a") == b""
assert control(board, GET_BAR_GRAPH, room=1) == b"\x5a"
assert len(control(board, READ_SWITCHES, room=1)) == 1
# ERROR_INVALID_FUNCTION
assert control(board, 1) == (errno.ENOTTY, 1)
# By its own number: this one tells of 16348 bytes both ways.
memory = bytearray(0x3FDC)
fcntl.ioctl(board, GET_BAR_GRAPH, memory, True)
assert memory[0] == 0x5A, memory[0]
assert not os.isatty(board)
fails(errno.EFAULT, fcntl.ioctl, board, CONTROL, 1)
# The driver knows no flush.
fails(errno.EOPNOTSUPP, fcntl.ioctl, board, FLUSH)
