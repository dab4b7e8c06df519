"""A ROS domain that nobody else on this machine uses, so that a demo neither hears nor disturbs other nodes."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Mapping

# With domain d, participant p listens on UDP 7400 + 250 d + 10 + 2 p and 7400 + 250 d + 11 + 2 p (RTPS 2.2, 9.6.1.1).
# Above domain 101 these ports run into Linux' ephemeral ones.
HIGHEST_DOMAIN = 101
_PARTICIPANTS_LOOKED_AT = 4


def choose_domain(environment: Mapping[str, str] | None = None) -> int:
    """ROS_DOMAIN_ID where it is set and a number, otherwise a random domain whose ports are free."""
    wanted = (os.environ if environment is None else environment).get("ROS_DOMAIN_ID", "")
    if wanted.isdigit():
        return int(wanted)
    domains = random.sample(range(1, HIGHEST_DOMAIN + 1), HIGHEST_DOMAIN)
    return next((domain for domain in domains if is_free(domain)), domains[0])


def is_free(domain: int) -> bool:
    """Whether nobody listens on the ports of the domain's first participants."""
    first = 7400 + 250 * domain + 10
    for port in range(first, first + 2 * _PARTICIPANTS_LOOKED_AT):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                return False
    return True


def domain_environment(domain: int) -> dict[str, str]:
    """Environment variables that keep a process in `domain` and on this machine."""
    variables = {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    if os.environ.get("ROS_DISTRO") == "humble":
        # It does not know the range yet; later ones warn of this variable.
        variables["ROS_LOCALHOST_ONLY"] = "1"
    return variables
