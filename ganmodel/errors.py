"""Every error a user can cause or meet, with the exit code the command line returns for it.

GangenError                    1   anything else that is ours
|-- SpecError                  2   an option, file or data set that cannot be used as asked
|   |-- DataError              2   a training set that is missing, damaged or of a wrong shape
|   |-- ModelError             2   a model directory that is missing, damaged or not ours
|   `-- RowError               2   rows that no data set has; an IndexError too
|-- ShardsFailed               3   some planned shards could not be made; the others are kept
|-- CommitConflict             4   the target holds another data set, or another writer won
|-- TrainingFailed             5   a NaN, an infinity or a collapse stopped the training
|-- ClusterError               6   Ray could not be reached, refused us, or lost the job
|-- DamageFound                7   a data set is not what its manifest says
`-- Interrupted              130   Ctrl-C or SIGTERM; the state on disk resumes
"""


class GangenError(Exception):
    """A failure with one line for the user: what was wrong, the limit, what was given, what to do."""

    exit_code = 1


class SpecError(GangenError):
    """What was asked cannot be done; nothing was started."""

    exit_code = 2


class DataError(SpecError):
    """A training set is missing, damaged, or has a wrong shape, dtype or label."""


class ModelError(SpecError):
    """A model directory is missing, damaged, or was not written by gangen."""


class RowError(SpecError, IndexError):
    """Rows were asked for that no data set has, or more than fit in memory."""


class ShardsFailed(GangenError):
    """Some planned shards could not be made. The finished ones stay and a rerun does the rest."""

    exit_code = 3


class CommitConflict(GangenError):
    """The target directory belongs to another plan, or another writer is at work in it."""

    exit_code = 4


class TrainingFailed(GangenError):
    """The training produced a NaN, an infinity or a collapsed generator and was stopped."""

    exit_code = 5


class ClusterError(GangenError):
    """Ray could not be reached, refused the token, or lost the job."""

    exit_code = 6


class DamageFound(GangenError):
    """A data set was checked and is not what its manifest says."""

    exit_code = 7


class Interrupted(GangenError):
    """The user or the system asked us to stop; the same command continues."""

    exit_code = 130
