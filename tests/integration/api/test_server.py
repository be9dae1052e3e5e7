"""Listening and stopping."""

import asyncio
import signal

import pytest

from supervisor.api.server import ListenError, bind
from tests.integration.api.harness import Api, serve_api


def test_all_endpoints_are_bound_or_none() -> None:
    """An address in use is named, and what was bound before it is free again."""
    (taken,) = bind(["127.0.0.1:0"])
    taken.listen()
    port = taken.getsockname()[1]
    with pytest.raises(ListenError, match=f"can't listen on 127.0.0.1:{port}: Address already"):
        bind([f"127.0.0.2:{port}", f"127.0.0.1:{port}"])
    for sock in bind([f"127.0.0.2:{port}"]):
        sock.close()
    taken.close()


@pytest.mark.parametrize("endpoint", ["192.0.2.1:8800", "nowhere.invalid:8800"])
def test_an_address_that_is_not_ours_is_named(endpoint: str) -> None:
    """With what is wrong."""
    with pytest.raises(ListenError, match=f"can't listen on {endpoint}: "):
        bind([endpoint])


async def test_every_socket_is_served() -> None:
    """The same API on each address."""
    sockets = bind(["127.0.0.1:0", "127.0.0.2:0"])
    ports = [sock.getsockname() for sock in sockets]
    async with serve_api(sockets) as api:
        for host, port in ports:
            async with api.http.get(f"http://{host}:{port}/healthz") as response:
                assert response.status == 200


async def test_signals_are_left_alone(api: Api) -> None:
    """Whoever runs the server handles them."""
    assert api.server.started
    for number in (signal.SIGTERM, signal.SIGINT):
        handler = signal.getsignal(number)
        assert "uvicorn" not in getattr(handler, "__module__", "")
        assert getattr(handler, "__self__", None) is not api.server._server


async def test_a_stop_closes_everything(api: Api) -> None:
    """Idle connections and half requests don't hold it up, and the port is free again."""
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/overrides HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
    async with api.http.get(api.url + "/healthz"):
        pass
    api.serving.cancel()
    await asyncio.wait({api.serving}, timeout=10)
    assert api.serving.cancelled()
    await asyncio.wait_for(reader.read(), 10)
    writer.close()
    for sock in bind([f"{host}:{port}"]):
        sock.close()


async def test_a_forwarded_address_is_not_believed(api: Api) -> None:
    """A client can't borrow another's name to be limited under it."""
    for number in range(11):
        headers = {"Authorization": "Bearer wrong", "X-Forwarded-For": f"10.0.0.{number}"}
        async with api.http.post(api.url + "/v1/overrides", json={}, headers=headers) as response:
            status = response.status
    assert status == 429
