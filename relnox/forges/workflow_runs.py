"""Runs of CI workflows on a forge."""

from __future__ import annotations

from abc import abstractmethod
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from relnox.core.records import Record
from relnox.errors import Blocked, TryLater
from relnox.forges.branches import describe_ref, short_name
from relnox.forges.repository import Repository, poll

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relnox.errors import RelnoxError
    from relnox.forges.api_responses import ApiResponse


class RunStatus(StrEnum):
    """The status of a run."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    """Waiting for an approval or another manual action."""
    SUCCESS = "success"
    FAILURE = "failure"
    """Failed, or timed out."""
    CANCELED = "canceled"
    SKIPPED = "skipped"


class Run(Record, kw_only=True):
    """A run of a workflow; a pipeline on GitLab.

    Attributes:
        id: The ID of the run, which is greater than those of earlier runs.
        url: The URL of its web page.
        ref: The short name of the branch or tag.
        event: The event that started it, as named by the forge, such as `workflow_dispatch`.
    """

    id: int
    url: str
    ref: str
    commit: str
    event: str
    status: RunStatus


class Runs(Repository):
    """The operations on the runs of a repository."""

    run_kind: ClassVar[str]
    """The forge's term for a run, for messages."""
    runs_path: ClassVar[str]
    workflows_path: ClassVar[str] = ""
    """The path of the workflows in the API, or an empty string if a repository has only one, without a name."""
    runs_a_page: ClassVar[str]
    run_filters: ClassVar[tuple[str, str, str]]
    """The query parameters that select runs by ref, event and commit."""
    start_event: ClassVar[str]
    """The event of runs that `start_run` starts."""

    def start_run(self, workflow: str, ref: str) -> Run:
        """Start a run of a workflow on a branch or tag.

        If the response is lost, the first new run on that ref is taken for the one that was started.

        Args:
            workflow: The file name of the workflow, such as `release.yml`; not used on GitLab, which has one
                pipeline.
            ref: The full name of the branch or tag, which must contain the workflow.

        Raises:
            Blocked: The ref or the workflow does not exist, or the workflow cannot be started without inputs.
            TryLater: The run was started, but the forge does not list it yet.
        """
        if not self.workflows_path:
            workflow = ""
        kind_and_name = describe_ref(ref)
        a_run = f"a {self.run_kind}{f' of {workflow}' if workflow else ''}"
        failure = f"cannot start {workflow or a_run} on {kind_and_name} of {self.repository}"
        # Run numbers increase; the clocks of two machines may differ.
        last = max((run.id for run in self._first_runs(workflow, ref)), default=0)

        def new_run() -> Run | None:
            """Return the first run that did not exist before the request, or None if there is none yet."""
            runs = [run for run in self._first_runs(workflow, ref) if run.id > last]
            return min(runs, key=lambda run: run.id, default=None)

        def present() -> Run | None:
            """Wait until the forge lists a new run; return None if it does not within a minute."""
            return poll(new_run, f"{self.name} does not list {a_run} on {kind_and_name} yet")

        def change() -> Run:
            response = self._api.send("POST", *self._start_request(workflow, ref))
            if response.status == HTTPStatus.NOT_FOUND and workflow:
                raise self._workflow_missing(failure, workflow, response)
            if (error := self._start_rejection(response, failure, workflow, ref)) is not None:
                raise error
            document = self._document(response, failure, "actions: write")
            run = present() if document is None else self._wait_for_started_run(document)
            if run is None:
                raise TryLater(
                    "run-missing",
                    f"a run was started on {kind_and_name} of {self.repository}, but the forge does not list it "
                    "yet",
                    fix="rerun the command later",
                )
            return run

        return self._api.until_confirmed(change, present)

    @abstractmethod
    def _start_request(self, workflow: str, ref: str) -> tuple[str, Mapping[str, Any]]:
        """Return the path and the body of the request that starts a run."""

    @abstractmethod
    def _start_rejection(self, response: ApiResponse, failure: str, workflow: str, ref: str) -> RelnoxError | None:
        """Return the error if the request to start a run was rejected for a known reason, or None.

        Args:
            response: The response.
            failure: What failed, for the error message.
            workflow: The file name of the workflow.
            ref: The full name of the branch or tag.
        """

    def _wait_for_started_run(self, document: Any) -> Run | None:
        """Return the run from the response to the request that started it, or None if it is not listed yet."""
        return self._run(document)

    def run(self, number: int) -> Run:
        """Return the run with an ID.

        Raises:
            Blocked: There is no such run, or the token may not read it.
        """
        run = self._run_or_none(number)
        if run is None:
            permission = self.permission_fix("actions: read")
            raise Blocked(
                "run-missing",
                f"{self.repository} has no run {number}, or the token may not read it",
                fix=permission,
            )
        return run

    def _run_or_none(self, number: int) -> Run | None:
        """Return the run with an ID, or None if the forge does not have it or the token may not read it."""
        response = self._api.get(f"{self.runs_path}/{number}")
        if response.status == HTTPStatus.NOT_FOUND:
            return None
        return self._run(self._document(response, f"cannot read {self.run_kind} {number}", "actions: read"))

    def runs(self, *, workflow: str = "", ref: str = "", commit: str = "") -> tuple[Run, ...]:
        """Return the runs that match all arguments that are not empty, newest first.

        Args:
            workflow: The file name of the workflow.
            ref: The full name of the branch or tag.
            commit: The hash of the commit.
        """
        return tuple(
            run
            for page in self._run_pages(workflow, ref, commit=commit)
            for run in page
            if (not ref or run.ref == short_name(ref)) and commit in ("", run.commit)
        )

    def _first_runs(self, workflow: str, ref: str) -> list[Run]:
        """Return the latest runs of a workflow on a ref that were started by the event of `start_run`."""
        page = next(self._run_pages(workflow, ref, event=self.start_event))
        return [run for run in page if run.ref == short_name(ref) and run.event == self.start_event]

    def _run_pages(self, workflow: str, ref: str, *, event: str = "", commit: str = "") -> Iterator[list[Run]]:
        """Yield the pages of a listing of runs; empty arguments do not filter."""
        values = (short_name(ref) if ref else "", event, commit)
        query = {name: value for name, value in zip(self.run_filters, values, strict=True) if value}
        query["per_page"] = self.runs_a_page
        of_workflow = workflow if self.workflows_path else ""
        path = f"{self.workflows_path}/{quote(of_workflow, safe='')}/runs" if of_workflow else self.runs_path
        failure = f"cannot list the {self.run_kind}s of {of_workflow or self.repository}"
        for response in self._api.pages(path, query):
            if response.status == HTTPStatus.NOT_FOUND and of_workflow:
                raise self._workflow_missing(failure, of_workflow, response)
            document = self._document(response, failure, "actions: read")
            if isinstance(document, dict):
                document = document.get("workflow_runs")
            yield [self._run(run) for run in self._list(document)]

    def _workflow_missing(self, failure: str, workflow: str, response: ApiResponse) -> Blocked:
        permission = self.permission_fix("actions: write")
        return Blocked(
            "run-missing",
            f"{failure} (the default branch has no .github/workflows/{workflow}, or the token may not read it: "
            f"{response.status}{f' {response.text}' if response.text else ''})",
            fix=f"commit .github/workflows/{workflow} to the default branch; {permission}",
        )

    @abstractmethod
    def _run(self, document: Any) -> Run:
        """Return the run that a response describes."""
