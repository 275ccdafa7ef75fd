import asyncio
import builtins
import ssl

import pytest

from realtime_facade.errors import MissingExtra
from realtime_facade.simulator.certificate import issue


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_clients_that_trust_the_authority_can_connect(tmp_path, host):
    context, ca_path = issue(tmp_path, ["127.0.0.1", "localhost"])

    async def greet(_, writer):
        writer.write(b"hello")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        trust = ssl.create_default_context(cafile=str(ca_path))
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trust, server_hostname=host
        )
        assert await reader.read() == b"hello"
        writer.close()
        await writer.wait_closed()


async def test_clients_that_do_not_trust_it_cannot(tmp_path):
    context, _ = issue(tmp_path, ["127.0.0.1"])
    async with await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0, ssl=context) as s:
        port = s.sockets[0].getsockname()[1]
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", port, ssl=ssl.create_default_context())


def test_only_the_authority_s_certificate_is_left_on_disk(tmp_path):
    _, ca_path = issue(tmp_path, ["127.0.0.1"])
    assert list(tmp_path.iterdir()) == [ca_path]
    assert b"PRIVATE KEY" not in ca_path.read_bytes()


def test_a_missing_package_is_explained(tmp_path, monkeypatch):
    real = builtins.__import__

    def without_trustme(name, *args):
        if name == "trustme":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without_trustme)
    with pytest.raises(MissingExtra, match=r"trustme.*realtime-facade\[cli\]"):
        issue(tmp_path, ["127.0.0.1"])
