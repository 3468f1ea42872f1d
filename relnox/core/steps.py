"""The steps that plans are made of: a closed union of values.

A step says in one line what it will do and whether its effect is local or remote. Whoever acts on steps
matches every kind and ends in `assert_never`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from packaging.version import Version  # noqa: TC002 - an interrupted plan is read back by these types

from relnox.core.config import Abi, Trial  # noqa: TC001 - likewise
from relnox.core.manifest import Distribution, Manifest  # noqa: TC001 - likewise
from relnox.core.publishers import Policy, Publisher  # noqa: TC001 - likewise
from relnox.core.records import Record
from relnox.core.wheels import WheelJob  # noqa: TC001 - likewise

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Attest",
    "AwaitIndex",
    "Build",
    "BuildAgain",
    "BuildWheels",
    "CheckDistributions",
    "CheckProvenance",
    "CleanFolder",
    "ClearCache",
    "CloneCheckout",
    "Collect",
    "Commit",
    "CreateTags",
    "Download",
    "Edit",
    "EditFiles",
    "Export",
    "LogIn",
    "ProvideEnvironment",
    "PublishStage",
    "Push",
    "RunTests",
    "Stage",
    "Step",
    "Tag",
    "TakeBack",
    "TakeFiles",
    "Upload",
    "UploadToStage",
    "VerifyInstall",
    "WriteCollection",
    "WriteManifest",
    "WriteMatrix",
]


class Edit(Record, kw_only=True):
    """One file before and after, byte for byte.

    Attributes:
        file: POSIX path relative to the root.
        before: The bytes the change was planned from; None where there is no file yet.
        after: The bytes it will have; None where it is to be removed again.
    """

    file: str
    before: bytes | None
    after: bytes | None

    @property
    def digest(self) -> str | None:
        """SHA-256 of the content after it, in hex; None where there is no file then."""
        import hashlib

        return None if self.after is None else hashlib.sha256(self.after).hexdigest()

    def diff(self) -> str:
        """The change as a unified diff."""
        old, new = ((part or b"").decode("utf-8", "replace").splitlines() for part in (self.before, self.after))
        import difflib  # only where it is needed: it is not quick to open

        lines = difflib.unified_diff(old, new, f"a/{self.file}", f"b/{self.file}", lineterm="", n=1)
        return "\n".join(lines)


class Tag(Record, kw_only=True):
    """An annotated tag on the commit that the plan makes, or on `HEAD`."""

    name: str
    message: str


class _Step(Record, kw_only=True):
    """What every kind of step has; each adds `key`, its name inside the plan, and `title`, its one line.

    Attributes:
        needs: Keys of steps without whose success this one makes no sense.
    """

    remote: ClassVar[bool] = False
    """Whether the effect can be seen by others."""
    atomic: ClassVar[bool] = False
    """Whether a signal waits until the step is through: half of it would be worse than either end."""
    concurrent: ClassVar[bool] = False
    """Whether it may run beside its neighbours in a plan that are so, too, once what it needs is done."""

    needs: tuple[str, ...] = ()

    @property
    def shares(self) -> tuple[tuple[str, int | None], ...]:
        """What it shares with the steps beside it: a name, and how many may have it at once.

        None stands for as many as this machine has processors.
        """
        return (("processors", None),)


class EditFiles(_Step, kw_only=True):
    """Change several files of the checkout, all or none."""

    atomic: ClassVar[bool] = True
    edits: tuple[Edit, ...]

    @property
    def key(self) -> str:
        return "edit"

    @property
    def title(self) -> str:
        return f"edit {_listing([edit.file for edit in self.edits])}"


class Commit(_Step, kw_only=True):
    """Commit exactly these files, whatever else is staged.

    Attributes:
        files: The files, each with the SHA-256 of what it must hold, in hex; None for one that is gone.
    """

    atomic: ClassVar[bool] = True
    message: str
    files: tuple[tuple[str, str | None], ...]

    @property
    def key(self) -> str:
        return "commit"

    @property
    def title(self) -> str:
        return f"commit {self.message.splitlines()[0]!r}"


class CreateTags(_Step, kw_only=True):
    """Create annotated tags in one go."""

    atomic: ClassVar[bool] = True
    tags: tuple[Tag, ...]

    @property
    def key(self) -> str:
        return "tag"

    @property
    def title(self) -> str:
        return f"tag {_listing([tag.name for tag in self.tags])}"


class TakeBack(_Step, kw_only=True):
    """Take the last bump back: its tags, its commit, its edits.

    Attributes:
        commit: The commit to take back; None where the files were only edited.
        edits: From what the files hold now to what they held before.
    """

    atomic: ClassVar[bool] = True
    commit: str | None
    tags: tuple[str, ...]
    edits: tuple[Edit, ...]

    @property
    def key(self) -> str:
        return "undo"

    @property
    def title(self) -> str:
        tags = [f"the tag {tag}" for tag in self.tags]
        commit = [f"commit {self.commit[:10]}"] if self.commit is not None else []
        return f"take back {_listing([*tags, *commit, *(f'the edit of {edit.file}' for edit in self.edits)])}"


class Push(_Step, kw_only=True):
    """Push the branch and the tags, all or none."""

    remote: ClassVar[bool] = True
    atomic: ClassVar[bool] = True
    to: str
    branch: str
    tags: tuple[str, ...]

    @property
    def key(self) -> str:
        return "push"

    @property
    def title(self) -> str:
        return f"push {_listing([self.branch, *self.tags])} to {self.to}, all or none"


class CleanFolder(_Step, kw_only=True):
    """Remove every file of a folder of artefacts."""

    folder: str
    files: tuple[str, ...]

    @property
    def key(self) -> str:
        return "clean"

    @property
    def title(self) -> str:
        return f"remove {_listing(self.files)} from {self.folder}"


class ClearCache(_Step, kw_only=True):
    """Remove the build environments that earlier runs kept."""

    @property
    def key(self) -> str:
        return "clear cache"

    @property
    def title(self) -> str:
        return "remove the build environments that earlier runs kept"


class Export(_Step, kw_only=True):
    """Check a commit out beside the tree, so that nothing that is not committed is built.

    Attributes:
        commit: The full commit id.
    """

    concurrent: ClassVar[bool] = True
    commit: str

    @property
    def key(self) -> str:
        return "export"

    @property
    def title(self) -> str:
        return f"export commit {self.commit[:10]}, without what is not committed"


class ProvideEnvironment(_Step, kw_only=True):
    """Make an environment for the builds of all packages that require the same, or find the one that was kept.

    Attributes:
        requires: The requirements of their builds, as written.
        backend: The module of their build backend, which is warmed up.
        epoch: `SOURCE_DATE_EPOCH` of the builds; some backends read it when they are imported.
        keep: Whether environments of earlier runs serve, and this one stays.
    """

    concurrent: ClassVar[bool] = True
    requires: tuple[str, ...]
    backend: str
    epoch: int | None
    installer: str
    keep: bool

    @property
    def key(self) -> str:
        return f"environment with {', '.join(self.requires)}"

    @property
    def title(self) -> str:
        return f"provide an environment with {', '.join(self.requires)}"


class Build(_Step, kw_only=True):
    """Build a package's sdist, and its wheel from that sdist, each isolated.

    Attributes:
        siblings: Packages of the same plan that the build needs: installed as they were just built.
        epoch: `SOURCE_DATE_EPOCH` of the build: the commit's time, seconds since 1970.
        strict: Whether warnings about the archives are errors.
        isolation: Whether environments and processes are shared where that changes no byte.
        inputs: A digest of what it is built from; None where it is built whatever was built before.
        keep_environments: Whether environments of earlier runs serve, and those of this one stay.
        pythons: The Pythons that platform wheels are built for, such as `3.12`; none for the running one.
        sdist_alone: Whether its wheels are built elsewhere, for many platforms.
        requires: What the archives' metadata has to require; None where the backend decides.
        private: Whether the public index never sees it, and what that one refuses does not matter.
        command: The project's own command that makes the archives; none for the build backend.
    """

    concurrent: ClassVar[bool] = True
    package: str
    version: Version | None
    folder: str
    output: str
    siblings: tuple[str, ...] = ()
    epoch: int | None
    strict: bool
    installer: str
    isolation: Literal["fast", "strict"]
    inputs: str | None
    keep_environments: bool
    pythons: tuple[str, ...] = ()
    sdist_alone: bool = False
    requires: tuple[str, ...] | None
    private: bool
    command: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"build {self.package}"

    @property
    def title(self) -> str:
        return f"build {self.package} {self.version or '(version from its backend)'}: sdist, then wheel from it"


class BuildAgain(_Step, kw_only=True):
    """Build a package again under another path, umask, time zone, locale and file times, and compare byte by byte.

    Attributes:
        build: How it was built before.
    """

    concurrent: ClassVar[bool] = True
    build: Build

    @property
    def key(self) -> str:
        return f"compare {self.build.package}"

    @property
    def title(self) -> str:
        return f"build {self.build.package} again, elsewhere, and compare"


class BuildWheels(_Step, kw_only=True):
    """Build the platform wheels of one job of the matrix from the sdist that is in the output folder.

    Attributes:
        job: The wheels, and what they are built on.
        abi: What they are bound to.
        build: What is planned of the package.
    """

    job: WheelJob
    abi: Abi
    build: Build

    @property
    def key(self) -> str:
        return f"wheels {self.job.name}"

    @property
    def title(self) -> str:
        return f"build {len(self.job.identifiers)} wheels of {self.job.name} with cibuildwheel"


class WriteMatrix(_Step, kw_only=True):
    """Write the jobs that make platform wheels, as CI reads them."""

    file: str
    text: str

    @property
    def key(self) -> str:
        return "matrix"

    @property
    def title(self) -> str:
        return f"write the jobs for platform wheels to {self.file}"


class RunTests(_Step, kw_only=True):
    """Run the configured tests against the built wheel in a fresh environment.

    Attributes:
        python: The Python to run them on, such as `3.12`; empty for the running one.
    """

    concurrent: ClassVar[bool] = True
    package: str
    python: str
    folder: str
    output: str
    command: tuple[str, ...]
    requires: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    siblings: tuple[str, ...]
    installer: str

    @property
    def key(self) -> str:
        return " ".join(["test", self.package, *filter(None, [self.python])])

    @property
    def title(self) -> str:
        return f"{self.key}: {' '.join(self.command)}"


class CheckDistributions(_Step, kw_only=True):
    """Check the built archives together, as the index would (`twine check`)."""

    output: str
    strict: bool

    @property
    def key(self) -> str:
        return "check"

    @property
    def title(self) -> str:
        return f"check the archives' metadata{', warnings are errors' if self.strict else ''}"


class WriteManifest(_Step, kw_only=True):
    """Write the record of what was built, in both spellings."""

    atomic: ClassVar[bool] = True
    output: str
    commit: str | None
    dirty: bool
    order: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def key(self) -> str:
        return "manifest"

    @property
    def title(self) -> str:
        return f"write the manifest into {self.output}"


class Collect(_Step, kw_only=True):
    """Copy one package's files from where jobs left them, unless they are there.

    Attributes:
        files: Each file with the folder that it is in.
    """

    package: str
    version: Version
    files: tuple[tuple[str, Distribution], ...]
    output: str

    @property
    def key(self) -> str:
        return f"collect {self.package}"

    @property
    def title(self) -> str:
        files = _listing([file.filename for _, file in self.files])
        return f"collect {self.package} {self.version} into {self.output}: {files}"


class WriteCollection(_Step, kw_only=True):
    """Write the manifest of all that was collected."""

    output: str
    manifest: Manifest

    @property
    def key(self) -> str:
        return "manifest"

    @property
    def title(self) -> str:
        return f"write the manifest of {len(self.manifest.distributions)} files into {self.output}"


class Attest(_Step, kw_only=True):
    """Sign files as the job that publishes them (PEP 740), beside the files.

    Attributes:
        files: Those that are not public yet: an index takes no attestation later.
        policy: Whether one that cannot be signed ends the run.
        publisher: Who signs; None where that is not known, and attestations that are there already are taken.
        patience: Seconds of trouble that signing outlasts.
    """

    index: str
    files: tuple[Distribution, ...]
    folder: str
    policy: Policy
    publisher: Publisher | None
    patience: int

    @property
    def key(self) -> str:
        return "attest"

    @property
    def title(self) -> str:
        by = f", as {self.publisher.told}" if self.publisher is not None else ""
        return f"sign {_listing([file.filename for file in self.files])} ({self.policy}){by}"


class LogIn(_Step, kw_only=True):
    """Ask an index for the tokens of all projects that are uploaded to, so that none is missing halfway.

    Attributes:
        packages: The projects.
    """

    index: str
    packages: tuple[str, ...]

    @property
    def key(self) -> str:
        return "log in"

    @property
    def title(self) -> str:
        return f"ask {self.index} for tokens for {_listing(self.packages)}"


class Upload(_Step, kw_only=True):
    """Send one file to an index, unless it is there.

    Attributes:
        attestations: Whether what attests the file goes with it.
        publisher: Who must have signed that; None where it is not known.
    """

    remote: ClassVar[bool] = True
    concurrent: ClassVar[bool] = True
    index: str
    file: Distribution
    folder: str
    attestations: Policy = "off"
    publisher: Publisher | None = None

    @property
    def key(self) -> str:
        return f"upload {self.file.filename}"

    @property
    def title(self) -> str:
        return f"upload {self.file.filename} ({self.file.size:,} bytes) to {self.index}"

    @property
    def shares(self) -> tuple[tuple[str, int | None], ...]:
        # The public index locks all releases of a project for each of its files.
        return ((f"uploads to {self.index}", 8), (f"{self.file.package} on {self.index}", 2))


class UploadToStage(Upload, kw_only=True):
    """Send one file into a session of an index, where nobody sees it before the session is published (PEP 694)."""

    remote: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"stage {self.file.filename} ({self.file.size:,} bytes) on {self.index}"


class PublishStage(_Step, kw_only=True):
    """Make the files of a session public, all or none, unless they are."""

    remote: ClassVar[bool] = True
    concurrent: ClassVar[bool] = True
    index: str
    package: str
    version: Version
    files: tuple[Distribution, ...]

    @property
    def key(self) -> str:
        return f"publish {self.package}"

    @property
    def title(self) -> str:
        return f"publish {self.package} {self.version} on {self.index}: {len(self.files)} files, all or none"

    @property
    def shares(self) -> tuple[tuple[str, int | None], ...]:
        return ((f"uploads to {self.index}", 8),)


class AwaitIndex(_Step, kw_only=True):
    """Wait until an index lists these files with our hashes, and serves them."""

    concurrent: ClassVar[bool] = True
    index: str
    package: str
    version: Version
    files: tuple[Distribution, ...]
    patience: int
    """Seconds."""

    @property
    def key(self) -> str:
        return f"await {self.package}"

    @property
    def title(self) -> str:
        return f"see that {self.index} lists {self.package} {self.version} with these hashes, and serves it"

    @property
    def shares(self) -> tuple[tuple[str, int | None], ...]:
        # Who waits for a listing does not keep others from sending, nor from looking.
        return ((f"looks at {self.index}", 32),)


class CheckProvenance(_Step, kw_only=True):
    """See that an index serves provenance of these files, and verify it (PEP 740).

    Attributes:
        policy: Whether a file without provenance ends the run.
        publisher: Who published them; None where that is not known, and the index's word is taken.
    """

    concurrent: ClassVar[bool] = True
    index: str
    package: str
    version: Version
    files: tuple[Distribution, ...]
    policy: Policy
    publisher: Publisher | None

    @property
    def key(self) -> str:
        return f"provenance {self.package}"

    @property
    def title(self) -> str:
        by = f" by {self.publisher.told}" if self.publisher is not None else ""
        return f"verify what {self.index} serves as provenance of {self.package} {self.version}{by}"

    @property
    def shares(self) -> tuple[tuple[str, int | None], ...]:
        return ((f"looks at {self.index}", 32),)


class Download(_Step, kw_only=True):
    """Fetch the files that an index serves and compare their hashes.

    Attributes:
        patience: How long the index may take to serve what it lists, in seconds.
    """

    concurrent: ClassVar[bool] = True
    index: str
    package: str
    files: tuple[Distribution, ...]
    patience: int

    @property
    def key(self) -> str:
        return f"fetch {self.package}"

    @property
    def title(self) -> str:
        return f"download {_listing([file.filename for file in self.files])} from {self.index}, compare hashes"


class TakeFiles(_Step, kw_only=True):
    """Copy the files of a package from where they were built to, and compare their hashes."""

    concurrent: ClassVar[bool] = True
    folder: str
    package: str
    files: tuple[Distribution, ...]

    @property
    def key(self) -> str:
        return f"fetch {self.package}"

    @property
    def title(self) -> str:
        return f"take {_listing([file.filename for file in self.files])} from {self.folder}, compare hashes"


class VerifyInstall(_Step, kw_only=True):
    """Install our fetched files in a fresh environment, and see that they are complete and work.

    Attributes:
        python: The Python, such as `3.12`; empty for the running one.
        siblings: Packages of the same release that it needs: installed from our files too.
        trial: What is tried.
        skip: Why nothing is tried; None where it is.
    """

    concurrent: ClassVar[bool] = True
    package: str
    version: Version
    python: str
    siblings: tuple[str, ...]
    installer: str
    trial: Trial
    skip: str | None = None

    @property
    def key(self) -> str:
        return f"verify {self.package}{f' on {self.python}' if self.python else ''}"

    @property
    def title(self) -> str:
        python = f"Python {self.python}" if self.python else "this Python"
        beside = f" (with {_listing(self.siblings)} as built)" if self.siblings else ""
        smoke = f", run {_listing(self.trial.smoke)}" if self.trial.smoke else ""
        return (
            f"install {self.package} {self.version}{beside} on {python} in a fresh environment and use it{smoke}"
        )


class CloneCheckout(_Step, kw_only=True):
    """Clone the checkout, with a remote of its own, to a place that is thrown away."""

    commit: str
    branch: str

    @property
    def key(self) -> str:
        return "clone"

    @property
    def title(self) -> str:
        return f"clone commit {self.commit[:10]} and a remote for it to a throw-away place"


class Stage(_Step, kw_only=True):
    """A task of a chain: it observes and plans when it is reached."""

    task: str
    options: tuple[tuple[str, str | bool | int | tuple[str, ...]], ...]

    @property
    def key(self) -> str:
        return self.task

    @property
    def title(self) -> str:
        return " ".join([self.task, *(flag for name, value in self.options for flag in _flags(name, value))])


Step = (
    EditFiles
    | Commit
    | CreateTags
    | Push
    | TakeBack
    | CleanFolder
    | ClearCache
    | Export
    | ProvideEnvironment
    | Build
    | BuildAgain
    | BuildWheels
    | WriteMatrix
    | RunTests
    | CheckDistributions
    | WriteManifest
    | Collect
    | WriteCollection
    | Attest
    | LogIn
    | Upload
    | UploadToStage
    | PublishStage
    | AwaitIndex
    | CheckProvenance
    | Download
    | TakeFiles
    | VerifyInstall
    | CloneCheckout
    | Stage
)


def _listing(names: Iterable[str], most: int = 4) -> str:
    """`a, b, c and 7 more`."""
    every = list(names)
    shown = ", ".join(every[:most])
    return f"{shown} and {len(every) - most} more" if len(every) > most else shown


def _flags(name: str, value: str | bool | int | tuple[str, ...]) -> list[str]:  # noqa: FBT001 - an option's value
    flag = f"--{name.replace('_', '-')}"
    match value:
        case True:
            return [flag]
        case False:
            return [f"--no-{flag.removeprefix('--')}"]
        case tuple():
            return [word for each in value for word in (flag, each)]
        case _:
            return [flag, str(value)]
