import socket

from reelflow.ports import free_port, listen


def test_the_wanted_port_is_used_if_it_is_free() -> None:
    port = free_port()

    with listen("127.0.0.1", port) as sock:
        assert sock.getsockname()[1] == port
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_a_port_in_use_is_replaced_by_a_free_one() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]

        assert free_port(port) not in (0, port)
