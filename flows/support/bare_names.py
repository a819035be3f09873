"""Prefect's plugin hook by which ``prefect deployment run train-4stems`` finds the deployment without its flow's name.

Prefect's grammar wants ``<flow>/<deployment>``. Its command line loads this module where the project's pyproject.toml
switches plugins on (``[tool.prefect.plugins]``), which it reads in the working directory.
"""

import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from prefect.plugins import register_hook

from flows.support.own_server import check_prefect_api, no_server
from flows.support.prefect_api import prefect_setting
from flows.support.prefect_gone import is_not_let_in, not_let_in
from sepcore.errors import ConfigError
from sepcore.system.urls import shown

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

PREFECT_PLUGIN_API_REQUIRES = ">=0.1,<1"
# What Prefect's server answers with at most.
_PAGE = 200


# Keyword-only as in Prefect's own specification: pluggy refuses the hook with a plain argument.
@register_hook
def setup_environment(*, ctx: Any) -> None:
    """Let Prefect's client look up a bare name, and its command line say what it was not let in for; done once."""
    import httpx
    from prefect.client.base import PrefectHttpxAsyncClient, ServerType
    from prefect.client.orchestration._deployments.client import DeploymentAsyncClient

    original = DeploymentAsyncClient.read_deployment_by_name
    if hasattr(original, "__wrapped__") and original.__module__ == __name__:
        return

    @wraps(original)
    async def read_deployment_by_name(self: "PrefectClient", name: str) -> "DeploymentResponse":
        if self.server_type == ServerType.EPHEMERAL:
            _warn_of_no_server()
        try:
            full = name if "/" in name else await full_name(self, name)
            return await original(self, full)
        except httpx.TransportError:
            if not _is_prefects_command():
                raise
            _refuse(no_server(str(self.api_url)))

    read_deployment_by_name.__module__ = __name__
    _replace(DeploymentAsyncClient, read_deployment_by_name)
    if _is_prefects_command():
        _replace(PrefectHttpxAsyncClient, _telling(PrefectHttpxAsyncClient.send))


def _replace(owner: type, method: Callable[..., Any]) -> None:
    """Put a method in the place of the one that it wraps."""
    setattr(owner, method.__name__, method)


def _telling(send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A client's ``send`` that ends Prefect's command with one line where the server does not let it in."""

    @wraps(send)
    async def sent(*given: Any, **named: Any) -> Any:
        if url := prefect_setting("api", "url"):
            try:
                check_prefect_api(url)
            except ConfigError as error:
                _refuse(error)
        try:
            return await send(*given, **named)
        except Exception as error:
            if not is_not_let_in(error):
                raise
            _refuse(not_let_in(prefect_setting("api", "url") or ""))

    return sent


async def full_name(client: "PrefectClient", name: str) -> str:
    """The only ``<flow>/<name>`` that there is.

    Raises:
        ConfigError: there is none, or more than one; a command of Prefect ends with the line instead.
    """
    names = await _full_names(client)
    found = [full for full in names if full.partition("/")[2] == name]
    if len(found) == 1:
        return found[0]
    if found:
        _refuse(ConfigError(f"{name} names {len(found)} deployments", hint=f"Give one of {', '.join(found)}."))
    if not names:
        _refuse(
            ConfigError(
                f"{name}: no such deployment, nor any other, at {shown(client.api_url)}",
                hint="Start `python -m flows.serve`, and give this shell the lines `export …` that it prints.",
            )
        )
    _refuse(ConfigError(f"{name}: no such deployment", hint=f"Give one of {', '.join(names)}."))


async def _full_names(client: "PrefectClient") -> list[str]:
    deployments: list[DeploymentResponse] = []
    while page := await client.read_deployments(limit=_PAGE, offset=len(deployments)):
        deployments += page
    flows = {flow_id: (await client.read_flow(flow_id)).name for flow_id in {one.flow_id for one in deployments}}
    return sorted(f"{flows[one.flow_id]}/{one.name}" for one in deployments)


def _warn_of_no_server() -> None:
    if _is_prefects_command():
        sys.stderr.write(
            "PREFECT_API_URL is not set: a run that is made now waits in Prefect's database until something serves it; "
            "start `python -m flows.serve`, and give this shell the lines `export …` that it prints.\n"
        )


def _is_prefects_command() -> bool:
    return Path(sys.argv[0]).name == "prefect" or Path(sys.argv[0]).parent.name == "prefect"


def _refuse(error: ConfigError) -> NoReturn:
    # Prefect's command line would put a traceback before an error's text.
    if _is_prefects_command():
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1)
    raise error
