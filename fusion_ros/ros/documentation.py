"""Writes `config/fusion.yaml` and `docs/topics_and_parameters.md` from the tables of topics and parameters.

python -m fusion_ros.ros.documentation
"""

from __future__ import annotations

from pathlib import Path

from fusion_ros.ros.parameters import NODE_CONFIGS, default_yaml, parameter_markdown
from fusion_ros.ros.topics import topic_markdown

YAML_PATH = "config/fusion.yaml"
MARKDOWN_PATH = "docs/topics_and_parameters.md"

_INTRODUCTION = """\
# Topics and parameters

Written by `python -m fusion_ros.ros.documentation` from the tables that the nodes themselves are built from; a test
fails where this page, `config/fusion.yaml` and the nodes differ.

## Topics

Names are relative: put the nodes in a namespace or remap them freely. Inputs are subscribed to with sensor-data quality
of service (best effort, keep last 5), outputs are published reliably (keep last 1). Override either per topic in YAML,
for instance `qos_overrides./rgb/image.subscription.reliability: reliable`. The launch file sets this for links of which
both ends are ours (the fused image to the other two, a bag's images to fusion) where `params_file` does not.

"""

_LOSSES = """\
Where images get lost on the way, `/diagnostics` shows fewer received than the camera sends. A full-size image is cut
into many packets, and over best effort one lost packet loses the image: enlarge the receive buffers
(`sysctl -w net.core.rmem_max=2147483647 net.ipv4.ipfrag_high_thresh=134217728`), set both ends to reliable, use the
compressed transport, or run `pipeline_node`, in which the fused image does not travel at all.
"""

_PARAMETERS_INTRODUCTION = """\
## Parameters

A parameter that does not change while running can be set before the node is configured; afterwards it is refused until
the node is deactivated and cleaned up. A value that is not allowed is refused with a reason and leaves the node as it
is. Where the command line or a YAML file gives such a value, the node stays unconfigured and says why, in the log and
on `/diagnostics`, until the parameter is set to something allowed and the node is configured again
(`ros2 lifecycle set /fusion configure`, then `activate`).

Weights that are set while the node runs (`models.*`) are refused at once where a look at the file shows that they
cannot be used: it is missing, spoilt, cut off, or for another network. Otherwise they are loaded beside the frames,
which the old model goes on to fuse, and serve from some later pair on; `loading` on `/diagnostics` names what is under
way. A load that fails is logged and shows on `/diagnostics`; the old model serves on and the parameter goes back to it.

A change of mode takes effect on the next pair. Over `mode_fade` the picture goes over from the earlier mode's in even
steps, by the stamps of the frames: both networks run in that time, and where they take so long that pairs are
superseded, the frames that are left are further along. There is no fade where the frame before is `mode_fade` or more
away, after a time jump, and to or from one camera alone.
"""


def page() -> str:
    """Return the text of the page on topics and parameters."""
    sections = [_INTRODUCTION + topic_markdown(), _LOSSES, _PARAMETERS_INTRODUCTION]
    sections += [f"### `/{node}`\n\n{parameter_markdown(node)}" for node in NODE_CONFIGS]
    return "\n".join(sections)


def write(repository: Path) -> None:
    """Write both files below `repository`."""
    (repository / YAML_PATH).write_text(default_yaml(), encoding="utf-8")
    (repository / MARKDOWN_PATH).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).resolve().parents[2])
