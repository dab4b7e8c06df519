"""A demo keeps to a ROS domain of its own."""

from __future__ import annotations

import socket

from fusion_ros.replay.domain import HIGHEST_DOMAIN, choose_domain, domain_environment, is_free


def test_a_domain_that_is_set_is_kept():
    assert choose_domain({"ROS_DOMAIN_ID": "42"}) == 42


def test_otherwise_a_free_one_is_taken():
    assert 1 <= choose_domain({}) <= HIGHEST_DOMAIN
    assert 1 <= choose_domain({"ROS_DOMAIN_ID": "many"}) <= HIGHEST_DOMAIN


def test_a_port_in_use_makes_a_domain_taken():
    domain = choose_domain({})
    # First participant's discovery port of the domain: RTPS 2.2, 9.6.1.1.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("", 7400 + 250 * domain + 10))
        assert not is_free(domain)
    assert is_free(domain)


def test_nodes_stay_on_this_machine():
    environment = domain_environment(7)
    assert environment["ROS_DOMAIN_ID"] == "7"
    assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
