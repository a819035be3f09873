"""Prefect's plugin hook by which ``prefect deployment run train-4stems`` finds the deployment without its flow's name.

Prefect expects ``<flow>/<deployment>``. Its command line loads this module where the pyproject.toml of the working
directory switches plugins on (``[tool.prefect.plugins]``).
"""

import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from prefect.plugins import register_hook

from flows.support.own_server import check_prefect_api, no_server
from flows.support.prefect_api import configured_prefect_api, is_unauthorized, missing_credential
from sepcore.errors import ConfigError
from sepcore.system.urls import shown

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

PREFECT_PLUGIN_API_REQUIRES = ">=0.1,<1"
# Prefect's server answers with no more at once.
_PAGE = 200
_START_SERVER = "Start `python -m flows.serve`, and give this shell the lines `export …` that it prints."


# Keyword-only as in Prefect's own specification: pluggy refuses the hook with a plain argument.
@register_hook
def setup_environment(*, ctx: Any) -> None:
    """Let Prefect's client look up a bare name, and its command line say in one line why it was refused."""
    import httpx
    from prefect.client.base import PrefectHttpxAsyncClient, ServerType
    from prefect.client.orchestration._deployments.client import DeploymentAsyncClient

    original = DeploymentAsyncClient.read_deployment_by_name
    if original.__module__ == __name__:  # done before
        return

    @wraps(original)
    async def read_deployment_by_name(self: "PrefectClient", name: str) -> "DeploymentResponse":
        if self.server_type == ServerType.EPHEMERAL and _is_prefects_command():
            sys.stderr.write(
                "PREFECT_API_URL is not set: a run that is made now waits in Prefect's database until something serves "
                f"it. {_START_SERVER}\n"
            )
        try:
            return await original(self, name if "/" in name else await _full_name(self, name))
        except httpx.TransportError:
            if not _is_prefects_command():
                raise
            _refuse(no_server(str(self.api_url)))

    read_deployment_by_name.__module__ = __name__
    DeploymentAsyncClient.read_deployment_by_name = read_deployment_by_name  # type: ignore[method-assign, assignment]
    if _is_prefects_command():
        PrefectHttpxAsyncClient.send = _telling(PrefectHttpxAsyncClient.send)  # type: ignore[method-assign, assignment]


def _telling(send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A client's ``send`` that ends Prefect's command with one line where the server refuses it."""

    @wraps(send)
    async def sent(*given: Any, **named: Any) -> Any:
        url = configured_prefect_api()
        try:
            if url:
                check_prefect_api(url)
            return await send(*given, **named)
        except ConfigError as error:
            _refuse(error)
        except Exception as error:
            if not is_unauthorized(error):
                raise
            _refuse(missing_credential(url or ""))

    return sent


async def _full_name(client: "PrefectClient", name: str) -> str:
    """The only ``<flow>/<name>`` that there is; ConfigError if there is none, or more than one."""
    deployments: list[DeploymentResponse] = []
    while page := await client.read_deployments(limit=_PAGE, offset=len(deployments)):
        deployments += page
    flows = {flow_id: (await client.read_flow(flow_id)).name for flow_id in {one.flow_id for one in deployments}}
    known = sorted(f"{flows[one.flow_id]}/{one.name}" for one in deployments)
    found = [full for full in known if full.partition("/")[2] == name]
    if len(found) == 1:
        return found[0]
    if found:
        _refuse(ConfigError(f"{name} names {len(found)} deployments", hint=f"Give one of {', '.join(found)}."))
    if known:
        _refuse(ConfigError(f"{name}: no such deployment", hint=f"Give one of {', '.join(known)}."))
    problem = f"{name}: no such deployment, nor any other, at {shown(client.api_url)}"
    _refuse(ConfigError(problem, hint=_START_SERVER))


def _is_prefects_command() -> bool:
    return Path(sys.argv[0]).name == "prefect" or Path(sys.argv[0]).parent.name == "prefect"


def _refuse(error: ConfigError) -> NoReturn:
    # Prefect's command line would put a traceback before an error's text.
    if _is_prefects_command():
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1)
    raise error
