"""`k3s_api_down` and `k3s_api_slow`, against a server that behaves like recorded ones."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agents.detectors.k3s_api import DOWN, IN_A_ROW, SLOW, K3sApi
from common.observations import Truth
from common.wire import WireObservation
from lab.kube_api import KubeApi, State

TOKEN = "a-service-account"
T, F, U = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN


@pytest.fixture
async def api() -> AsyncIterator[KubeApi]:
    """A healthy server that wants a token."""
    api = KubeApi(TOKEN)
    await api.start()
    yield api
    await api.stop()


def _certificate(folder: Path) -> None:
    """Make a certificate that was valid for a day in 2001."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "k3s")])
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2001, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2001, 1, 2, tzinfo=UTC))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "ca.crt").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, pkcs8, serialization.NoEncryption()),
    )


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    """A folder as a mounted service account has it."""
    folder = tmp_path / "k3s"
    folder.mkdir()
    _certificate(folder)
    (folder / "token").write_text(f"{TOKEN}\n")
    return folder


async def _looks(detector: K3sApi, times: int = IN_A_ROW) -> dict[str, WireObservation]:
    for _ in range(times - 1):
        await detector.observe()
    return {seen.kind: seen for seen in await detector.observe()}


async def test_healthy(api: KubeApi, credentials: Path) -> None:
    """One look suffices; the canary's lease is made once and renewed from then on."""
    seen = await _looks(K3sApi(api.url, credentials, "mlops_master"), 3)
    assert (seen[DOWN].status, seen[SLOW].status) == (F, F)
    assert api.leases == {"pimedic-canary-mlops-master": 3}
    assert seen[SLOW].value == pytest.approx(0.01, abs=1.0)


@pytest.mark.parametrize(
    ("state", "down", "slow", "said"),
    [
        pytest.param(State.WRITES_BLOCKED, F, T, "the store is blocked", id="A"),
        pytest.param(State.STORE_HUNG, F, T, "the store is blocked", id="B"),
        pytest.param(State.PROCESS_STOPPED, T, U, "doesn't serve", id="C"),
        pytest.param(State.STARTING, T, U, "doesn't serve", id="E"),
    ],
)
async def test_sick(
    api: KubeApi, credentials: Path, state: State, down: Truth, slow: Truth, said: str
) -> None:
    """Each recorded sickness is told for what it is, after bad looks in a row."""
    detector = K3sApi(api.url, credentials, "m")
    await _looks(detector, 1)
    api.state = state
    first = await _looks(detector, 1)
    assert T not in {seen.status for seen in first.values()}
    seen = await _looks(detector, IN_A_ROW - 1)
    assert (seen[DOWN].status, seen[SLOW].status) == (down, slow)
    assert said in seen[SLOW].detail


async def test_recovery_clears_at_once(api: KubeApi, credentials: Path) -> None:
    """One good look after a restart."""
    api.state = State.STARTING
    detector = K3sApi(api.url, credentials, "m")
    assert (await _looks(detector))[DOWN].status is T
    api.state = State.HEALTHY
    seen = await _looks(detector, 1)
    assert (seen[DOWN].status, seen[SLOW].status) == (F, F)


async def test_health_checks_alone_are_blind_to_a_blocked_store(api: KubeApi) -> None:
    """Without credentials there is no canary: the process lives, and the rest is unknown."""
    api.state = State.WRITES_BLOCKED
    seen = await _looks(K3sApi(api.url, None, "m"))
    assert (seen[DOWN].status, seen[SLOW].status) == (F, U)


async def test_nobody_listens(api: KubeApi, credentials: Path) -> None:
    """A refused connection is a process that is gone."""
    await api.stop()
    seen = await _looks(K3sApi(api.url, credentials, "m"))
    assert (seen[DOWN].status, seen[SLOW].status) == (T, U)


async def test_renewed_token_is_read_again(api: KubeApi, credentials: Path) -> None:
    """A 401 is no verdict on the store, and makes the next look read the file anew."""
    (credentials / "token").write_text("expired")
    detector = K3sApi(api.url, credentials, "m")
    seen = await _looks(detector, 1)
    assert (seen[DOWN].status, seen[SLOW].status) == (F, U)
    (credentials / "token").write_text(TOKEN)
    assert (await _looks(detector, 1))[SLOW].status is F


async def test_no_server_is_no_data() -> None:
    """Off the master there is nothing to watch."""
    assert await K3sApi("", None, "yellow1").observe() == []


async def test_certificate_out_of_its_dates_is_accepted(credentials: Path) -> None:
    """This node's clock may be anything: the cluster's CA counts, its dates don't."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(credentials / "ca.crt", credentials / "key.pem")
    api = KubeApi(TOKEN, context)
    await api.start()
    try:
        seen = await _looks(K3sApi(api.url, credentials, "m"), 1)
        assert (seen[DOWN].status, seen[SLOW].status) == (F, F)
    finally:
        await api.stop()


async def test_token_is_shown_to_the_clusters_ca_alone(credentials: Path, tmp_path: Path) -> None:
    """A server whose certificate another CA signed gets no request, and so no token."""
    other = tmp_path / "other"
    other.mkdir()
    _certificate(other)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(other / "ca.crt", other / "key.pem")
    api = KubeApi(TOKEN, context)
    await api.start()
    try:
        seen = await _looks(K3sApi(api.url, credentials, "m"), 1)
        assert "certificate" in seen[DOWN].detail.lower()
        assert api.leases == {}
    finally:
        await api.stop()


async def test_tls_that_hangs_ends_at_our_own_deadline(credentials: Path) -> None:
    """A stopped process accepts and says nothing: a port check is blind, our look isn't."""
    open_ends: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: open_ends.append(writer), "127.0.0.1", 0)
    detector = K3sApi(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", credentials, "m")
    try:
        async with asyncio.timeout(detector.deadline_s):
            seen = {one.kind: one for one in await detector.observe()}
    finally:
        for writer in open_ends:
            writer.transport.abort()
        server.close()
    assert "no answer" in seen[DOWN].detail
