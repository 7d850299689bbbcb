"""NATS behind TLS: it is spoken to where it proves its name to the authority that we were told, and nowhere else."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from collector.adapters.leases_nats import NatsLeases
from collector.adapters.nats_link import NatsAt, NatsThread
from collector.ports import Unavailable
from commands.part_servers import free_port
from tests.waiting import until

pytestmark = pytest.mark.system

HOST = "127.0.0.1"


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def behind_tls(
    part_programs: Callable[[str], Path], authority: trustme.CA, tmp_path: Path
) -> Iterator[str]:
    """Its URL; it takes nobody without TLS."""
    certificate, key, port = tmp_path / "cert.pem", tmp_path / "key.pem", free_port()
    signed = authority.issue_cert(HOST)
    signed.private_key_pem.write_to_path(key)
    for part in signed.cert_chain_pems:
        part.write_to_path(certificate, append=True)
    said = {
        "listen": f"{HOST}:{port}",
        "jetstream": {"store_dir": str(tmp_path / "data")},
        "tls": {"cert_file": str(certificate), "key_file": str(key)},
    }
    (tmp_path / "nats.conf").write_text(json.dumps(said))
    with (tmp_path / "said").open("wb") as out:
        server = subprocess.Popen(
            [str(part_programs("nats")), "-c", str(tmp_path / "nats.conf")], stdout=out, stderr=out
        )
    yield f"nats://{HOST}:{port}"
    server.terminate()
    server.wait()


async def test_a_lease_is_had_over_tls_from_who_proves_its_name(
    behind_tls: str, authority: trustme.CA, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    at = NatsAt(behind_tls, ca_file=str(tmp_path / "ca.pem"))
    await until(lambda: is_taken(at), 20)
    leases = NatsLeases(at, "left")
    await leases.taken("riverside")
    assert leases.holds("riverside")
    await leases.give_back("riverside")
    await leases.close()
    with pytest.raises(Unavailable, match="cannot be used"):
        NatsLeases(NatsAt(behind_tls, ca_file=str(tmp_path / "other.pem")), "left")


def is_taken(at: NatsAt) -> bool:
    """Whether it listens yet, and lets us in."""
    try:
        NatsThread(at).close()
    except Unavailable:
        return False
    return True
