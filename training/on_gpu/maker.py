"""Samples made on the device itself, from key frames and the plans of their exposures."""

from __future__ import annotations

import queue

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from training import canonical
from training.imaging.keyframe import FULL_SCALE
from training.on_gpu.batch_blur import BatchExposure, Exposures
from training.on_gpu.batch_sensor import Sensors, expose
from training.on_gpu.memory import Samples
from training.on_gpu.rooms import PlannedKey
from training.samples import SampleConfig


class Maker:
    """Samples from planned key frames, some at a time, of like blur: all get as many sub-frames as the longest."""

    # Plans that wait before a batch is chosen among them, in batches.
    CHOICE = 4

    def __init__(self, config: SampleConfig, batch: int, device: torch.device, seed: int) -> None:
        self.config, self.batch, self.device = config, batch, device
        self.rng = np.random.default_rng(seed)
        self.waiting: dict[tuple[int, ...], list[tuple[PlannedKey, int]]] = {}

    def take(self, keys: queue.Queue[PlannedKey]) -> None:
        """Take over what is ready, as far as there is use for it."""
        while sum(map(len, self.waiting.values())) < 2 * self.CHOICE * self.batch:
            try:
                planned = keys.get_nowait()
            except queue.Empty:
                return
            places = self.waiting.setdefault(planned.key.inverse_depth.shape, [])
            places += [(planned, number) for number in range(len(planned.plans))]

    def make(self) -> Samples | None:
        """The next samples; None while too little is waiting."""
        ready = [places for places in self.waiting.values() if len(places) >= self.CHOICE * self.batch]
        if not ready:
            return None
        places = ready[self.rng.integers(len(ready))]
        places.sort(key=lambda place: int(place[0].plans[place[1]]["count"]))
        first = int(self.rng.integers(len(places) // self.batch)) * self.batch
        chosen = places[first : first + self.batch]
        del places[first : first + self.batch]
        return self._expose([planned for planned, _ in chosen], np.stack([p.plans[k] for p, k in chosen]))

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def _expose(self, planned: list[PlannedKey], plans: np.ndarray) -> Samples:
        """Exposures by these plans [n], each of the key frame at its place; a key frame that serves several is moved once."""
        keys = {id(p): p.key for p in planned}
        order = list(keys)
        which = torch.tensor([order.index(id(p)) for p in planned], device=self.device)
        codes = torch.stack([self._tensor(key.colour.view(np.int16)) for key in keys.values()])
        colour = (codes.int() & 0xFFFF).float() * (FULL_SCALE / 65535.0)
        depth = torch.stack([self._tensor(key.inverse_depth) for key in keys.values()]).float()
        exposures = Exposures(
            colour.permute(0, 3, 1, 2)[which],
            depth[which, None],
            self._tensor(np.array([p.key.focal_px for p in planned], np.float32)),
            *(self._tensor(plans[name]) for name in ("rotation", "focal_px", "twist", "change", "readout")),
        )
        view = BatchExposure(exposures, self.config.height, self.config.width)
        light, inverse_depth = view.integrate(int(plans["count"].max()))
        images = expose(Sensors.of(self._tensor(plans["sensor"])), light).permute(0, 2, 3, 1)
        metric = self._tensor(np.array([p.key.metric for p in planned]))
        grid = F.avg_pool2d(inverse_depth, canonical.STRIDE)[:, 0]
        return Samples(images, exposures.twist, grid, metric, exposures.focal_px)
