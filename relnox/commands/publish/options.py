"""The options that `publish` and `publish-test` share."""

from __future__ import annotations

from relnox.commands.shared.release_versions import ReleaseOptions
from relnox.core.settings.options import PATH, option


class PublishingOptions(ReleaseOptions):
    """Options of `publish` and `publish-test`."""

    package: tuple[str, ...] = option(
        (), "Publish this package only (repeatable).", metavar="NAME", anywhere=False
    )
    dist: str = option("dist", "The directory with the manifest and its files.", kind=PATH, metavar="DIR")
    attestations: str = option(
        "auto",
        "Whether to publish attestations; auto: required if the identity of the job uploads and can sign.",
        choices=("auto", "required", "best-effort", "off"),
        metavar="POLICY",
    )
    compare_limit: int = option(
        64,
        "Download and hash published files up to this size in MiB; of larger ones compare the length and the last "
        "MiB.",
        metavar="MIB",
    )
