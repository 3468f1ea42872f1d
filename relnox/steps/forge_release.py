"""Make the release of a tag on a forge: a draft, its files, and the publication at the end.

The files of the release are public on an index by then, so that any failure here leaves it partly public.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from relnox.building.archives import hash_of_file_inside
from relnox.core import fixes
from relnox.core.planning.plan import Table
from relnox.core.planning.step import Edit, Step
from relnox.core.records import Record
from relnox.core.release import release_page
from relnox.core.text import join_names
from relnox.errors import Blocked, Conflict, ExitCode, Failed
from relnox.forges.api import Forge, ReleaseFile, ReleasePage, RequestRejected
from relnox.steps.built_archives import changed_archive_error
from relnox.steps.run import Run

ATTACH_CHECKSUMS = (
    f"to attach checksums only: {fixes.task_command('forge-release', '--assets', 'checksums')}; "
    "or copy it from the build whose files are public"
)
"""The fix for an archive to attach that is not the one that was published."""


class AttachedFile(Record, kw_only=True):
    """A file to attach to a release.

    Attributes:
        name: Its name on the forge; an archive has the same name in the directory of archives.
        content: The text of a file that is written for the release; None for an archive, or where only the name
            and hash matter.
    """

    name: str
    sha256: str
    content: str | None = None


class ForgeReleaseStep(Step):
    """A step of making the release of a tag on a forge, GitHub or GitLab.

    Attributes:
        remote_name: The git remote that is on the forge.
        package: The name of the generic package that has the files, on GitLab.
        version: The version of that package.
    """

    remote = True
    makes_public = True
    remote_name: str
    tag: str
    package: str
    version: str

    def _files_on_forge(self, forge: Forge, page: ReleasePage | None) -> dict[str, ReleaseFile]:
        """Return a release's files by name; without a release (None), those of the generic package on GitLab."""
        return forge.files(page, self.package, self.version)

    def _empty_duplicates(
        self, forge: Forge, pages: Sequence[ReleasePage], page: ReleasePage
    ) -> list[ReleasePage]:
        """Return which of the tag's releases (`pages`), except `page`, are drafts of relnox without files."""
        drafts = [
            other for other in pages if other.is_draft and release_page.is_made_by_relnox(other.body, self.tag)
        ]
        return [draft for draft in drafts if draft.id != page.id and not self._files_on_forge(forge, draft)]


def choose_release(pages: Sequence[ReleasePage], tag: str) -> ReleasePage | None:
    """Return which of a tag's releases to complete: the first public one, else the first draft of relnox, or None.

    `pages` are the releases, the oldest first.
    """
    published = [page for page in pages if not page.is_draft]
    drafts = [page for page in pages if page.is_draft and release_page.is_made_by_relnox(page.body, tag)]
    return next(iter([*published, *drafts]), None)


class ReleaseTextStep(ForgeReleaseStep):
    """A step that creates a release or changes its text.

    Attributes:
        name: The title.
        body: The text of a new release, in Markdown; it contains `section`.
        section: The section about installation, which is also updated in a release that a person published.
        prerelease: Whether to mark the release as a prerelease.
    """

    atomic = True
    name: str
    body: str
    section: str
    prerelease: bool

    @property
    def previewed_edits(self) -> tuple[Edit, ...]:
        return (Edit(file=f"release page of {self.tag}", before=None, after=self.body.encode(errors="replace")),)


class DraftRelease(
    ReleaseTextStep,
    key="draft release {self.tag}",
    title="draft release {self.name} of tag {self.tag}: notes and installation",
):
    """Create a draft release; if the tag has a release, update the section about installation in its text."""

    def reason_to_skip(self, run: Run) -> str | None:
        """Return the address of the release if it has the planned section, and record it for later steps.

        Return None otherwise, and if relnox made other drafts for the tag that have no files: `apply` deletes
        these.
        """
        with _mark_partly_public():
            forge = run.forge(self.remote_name)
            pages = forge.releases(self.tag)
            page = choose_release(pages, self.tag)
            if page is None or not release_page.has_section(page.body, self.section):
                return None
            if self._empty_duplicates(forge, pages, page):
                return None
        run.record_result(self, page)
        return f"{'draft' if page.is_draft else 'release'}: {page.url}"

    def apply(self, run: Run) -> None:
        """Create or update the release; delete other drafts of relnox without files, made by parallel jobs."""
        with _mark_partly_public():
            forge = run.forge(self.remote_name)
            pages = forge.releases(self.tag)
            if choose_release(pages, self.tag) is None:
                pages = forge.create_release(self.tag, self.name, self.body, prerelease=self.prerelease)
            if (page := choose_release(pages, self.tag)) is None:
                return
            if not release_page.has_section(page.body, self.section):
                body = release_page.replace_section(page.body, self.tag, self.section)
                forge.change_release(page, body)
            for duplicate in self._empty_duplicates(forge, pages, page):
                forge.delete_release(duplicate)


class AttachFile(
    ForgeReleaseStep,
    key="attach {self.file.name} to {self.tag}",
    title="attach {self.file.name} to the release of {self.tag}",
):
    """Attach a file to a release; one of that name with another hash is replaced, unless the release is public.

    Attributes:
        directory: The directory of archives, relative to the root.
    """

    file: AttachedFile
    directory: str

    def reason_to_skip(self, run: Run) -> str | None:
        """Return a reason if the forge serves the file with the planned hash, else None."""
        with _mark_partly_public():
            forge = run.forge(self.remote_name)
            file = self._files_on_forge(forge, self._release_page(run)).get(self.file.name)
            if file is None or not _has_planned_hash(forge, file, self.file.sha256):
                return None
        return f"{self.file.name} sha256 {self.file.sha256[:16]}…, compared with a download"

    def apply(self, run: Run) -> None:
        with _mark_partly_public():
            forge, page = run.forge(self.remote_name), self._release_page(run)
            file = self._files_on_forge(forge, page).get(self.file.name)
            if file is not None and file.is_complete:
                if page is not None and not page.is_draft:
                    raise Conflict(
                        "forge-file-differs",
                        f"the release of {self.tag} has another file {file.name} ({page.url})\n"
                        f"  there  sha256 {file.sha256 or 'not stated'}\n  built  sha256 {self.file.sha256}",
                        f"to see its files: {forge.program} release view {self.tag}; to have it replaced, "
                        f"delete {file.name} there by hand, then rerun the command",
                    )
                forge.delete_file(file)
            if page is not None and page.is_immutable:
                raise Conflict(
                    "forge-release-immutable",
                    f"the release of {self.tag} is public and immutable, and lacks {self.file.name} ({page.url})",
                    f"release a higher version: {fixes.task_command('bump', '--part', 'patch')}",
                )
            forge.upload(page, self.package, self.version, self._path_to_send(run))

    def _release_page(self, run: Run) -> ReleasePage | None:
        """Return the release that `DraftRelease` has recorded; None on GitLab, where it is created last."""
        return next((page for page in run.results(ReleasePage) if page.tag == self.tag), None)

    def _path_to_send(self, run: Run) -> Path:
        """Return the path of the file, a temporary one for `content`; raise an error if its hash differs."""
        if self.file.content is not None:
            path = run.create_temporary_directory("release") / self.file.name
            path.write_bytes(self.file.content.encode())
            return path
        directory = run.root / self.directory
        path = directory / self.file.name
        if (sha256 := hash_of_file_inside(directory, path)) != self.file.sha256:
            path_in_root = f"{self.directory}/{path.name}"
            raise changed_archive_error(path_in_root, self.file.sha256, sha256, ATTACH_CHECKSUMS)
        return path


class PublishRelease(ReleaseTextStep, key="publish release {self.tag}"):
    """Publish the draft release of a tag; on GitLab, which has no drafts, create the release.

    Attributes:
        latest: Whether it becomes the latest release of the repository; None if the forge has no such mark.
        files: The files that it must have, without their content.
    """

    latest: bool | None
    files: tuple[AttachedFile, ...]

    @property
    def title(self) -> str:
        kind = {True: " as the latest one", False: " (not as the latest one)", None: ""}[self.latest]
        kind = " as a prerelease" if self.prerelease and self.latest is not None else kind
        return f"publish release {self.name} of tag {self.tag}{kind}"

    @property
    def previewed_edits(self) -> tuple[Edit, ...]:
        return super().previewed_edits if self.latest is None else ()  # otherwise the draft shows it

    def reason_to_skip(self, run: Run) -> str | None:
        """Return the address of the release if it is public and as planned, and record it in a table; else None.

        It is as planned if it has the section about installation and, on GitLab, links to the files. A release
        that relnox made must also be the latest one if that is planned.
        """
        with _mark_partly_public():
            forge = run.forge(self.remote_name)
            page = choose_release(forge.releases(self.tag), self.tag)
            if page is None or page.is_draft or not release_page.has_section(page.body, self.section):
                return None
            if not forge.has_drafts and not {file.name for file in self.files} <= {*page.links}:
                return None
            is_own = release_page.is_made_by_relnox(page.body, self.tag)
            if is_own and self.latest and forge.latest_release() != self.tag:
                return None
        rows = ((page.tag, page.url),)
        run.record_result(self, Table(title="Release pages", columns=("tag", "address"), rows=rows))
        hint = f"; to verify it: gh release verify {self.tag}" if page.is_immutable else ""
        return f"public: {page.url}{hint}"

    def apply(self, run: Run) -> None:
        """Delete empty duplicates of the draft, and publish it.

        Raises:
            Conflict: The tag has another release.
            Failed: A file is missing, or another job published a release first.
        """
        with _mark_partly_public():
            forge = run.forge(self.remote_name)
            pages = forge.releases(self.tag)
            page = choose_release(pages, self.tag)
            if page is not None:
                duplicates = self._empty_duplicates(forge, pages, page)
                for duplicate in duplicates:
                    forge.delete_release(duplicate)
                self._check_only_release([other for other in pages if other not in duplicates], page)
            files = self._files_on_forge(forge, page)
            if missing := [file.name for file in self.files if file.name not in files]:
                raise Failed(
                    "step-not-done",
                    f"the release of {self.tag} lacks {join_names(missing)} (another process changed it)",
                    "rerun the command",
                )
            links = [files[file.name] for file in self.files]
            if page is None:
                prerelease = self.prerelease
                forge.create_release(self.tag, self.name, self.body, prerelease=prerelease, files=links)
                return
            if not forge.has_drafts:
                forge.change_release(page, release_page.replace_section(page.body, self.tag, self.section), links)
                return
            try:
                forge.publish_release(page, prerelease=self.prerelease, latest=bool(self.latest))
            except RequestRejected:
                other = choose_release(forge.releases(self.tag), self.tag)
                if other is None or other.is_draft:
                    raise
                raise Failed(
                    "forge-release-exists",
                    f"another job published a release of {self.tag} first ({other.url})",
                    f"rerun the command, which completes that one; and delete the draft by hand: {page.url}",
                ) from None

    def _check_only_release(self, pages: Sequence[ReleasePage], page: ReleasePage) -> None:
        """Raise `Conflict` if the tag has another release; a draft beside a public release does no harm."""
        others = [other.url for other in pages if other.id != page.id and (page.is_draft or not other.is_draft)]
        if others:
            raise Conflict(
                "forge-release-exists",
                f"there are {len(others) + 1} releases of tag {self.tag}: {join_names([page.url, *others])}",
                "delete by hand those that should not be public, then rerun the command",
            )


def _has_planned_hash(forge: Forge, file: ReleaseFile, sha256: str) -> bool:
    """Return whether a file, downloaded from the forge, has this hash, and the forge states no other one.

    An incomplete file does not count.
    """
    is_stated = file.is_complete and file.sha256 in (None, sha256)
    return is_stated and forge.download_sha256(file) == sha256


@contextmanager
def _mark_partly_public() -> Iterator[None]:
    """Give `Blocked` and `Failed` in a `with` block the exit code of a partly public release."""
    try:
        yield
    except (Blocked, Failed) as error:
        if error.exit_code in (ExitCode.BLOCKED, ExitCode.FAILED):
            error.exit_code = ExitCode.PARTLY_PUBLIC
        raise
