"""`blur_imu warm`: load, check and run a network once, building the TensorRT engine that the node then only loads."""

from __future__ import annotations

import argparse

from .command_arguments import add_network_arguments
from .model.providers import engine_cache_directory
from .network import FlowDepthNetwork, Provider


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    add_network_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Build what is missing, say what is ready; returns the exit code."""
    provider = Provider(args.provider)
    network = FlowDepthNetwork(args.model, provider=provider, threads=args.threads, build_engine=True)
    print(f"model {network.spec.name}: {network.provider_message}; ready after {network.start_s:.1f} s")
    for note in network.spec.notes:
        print(note)
    if provider is Provider.TENSORRT:
        print(f"engine: {engine_cache_directory(network.spec.sha256, create=False)}")
    network.close()
    return 0
