"""The steps of plans: a closed union of records, one module for each topic.

The title of a step says in one line what it will do. Code that handles steps matches all classes and ends in
`assert_never`.
"""

from __future__ import annotations

from relnox.core.steps.building import (
    Build,
    BuildWheels,
    CheckDistributions,
    CheckReproducibility,
    CleanFolder,
    ClearCache,
    Collect,
    Export,
    PrepareBuildEnvironment,
    RunTests,
    WriteCollection,
    WriteManifest,
    WriteMatrix,
)
from relnox.core.steps.bumping import (
    Commit,
    CreateTags,
    Edit,
    EditFiles,
    Push,
    Tag,
    UndoBump,
)
from relnox.core.steps.publishing import (
    Attest,
    AwaitIndex,
    CheckProvenance,
    ClearIndex,
    LogIn,
    Upload,
)
from relnox.core.steps.staging import (
    CloneCheckout,
    Stage,
)
from relnox.core.steps.verifying import (
    CopyFiles,
    Download,
    VerifyInstall,
)

__all__ = [
    "Attest",
    "AwaitIndex",
    "Build",
    "BuildWheels",
    "CheckDistributions",
    "CheckProvenance",
    "CheckReproducibility",
    "CleanFolder",
    "ClearCache",
    "ClearIndex",
    "CloneCheckout",
    "Collect",
    "Commit",
    "CopyFiles",
    "CreateTags",
    "Download",
    "Edit",
    "EditFiles",
    "Export",
    "LogIn",
    "PrepareBuildEnvironment",
    "Push",
    "RunTests",
    "Stage",
    "Step",
    "Tag",
    "UndoBump",
    "Upload",
    "VerifyInstall",
    "WriteCollection",
    "WriteManifest",
    "WriteMatrix",
]

Step = (
    EditFiles
    | Commit
    | CreateTags
    | Push
    | UndoBump
    | CleanFolder
    | ClearCache
    | Export
    | PrepareBuildEnvironment
    | Build
    | CheckReproducibility
    | BuildWheels
    | WriteMatrix
    | RunTests
    | CheckDistributions
    | WriteManifest
    | Collect
    | WriteCollection
    | Attest
    | ClearIndex
    | LogIn
    | Upload
    | AwaitIndex
    | CheckProvenance
    | Download
    | CopyFiles
    | VerifyInstall
    | CloneCheckout
    | Stage
)
