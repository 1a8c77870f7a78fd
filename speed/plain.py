"""The plain baseline: SCMM as one would first write it, and as much public code does.

Modules of torch.nn, a DataLoader, similarities broadcast over all pairs of windows, soft weights
through scikit-learn on the CPU, losses read with ``.item()`` at every step. The same mathematics
as bench.methods.scmm, one model at a time.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from sklearn.preprocessing import MinMaxScaler
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset


class Encoder(nn.Module):
    """Three convolutions over the band axis: (B, C, 5) to (B, 384)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = [channels, 32, 64, 128]
        self.layers = nn.Sequential(*(
            nn.Sequential(
                nn.Conv1d(a, b, kernel_size=8, padding=4, bias=False), nn.BatchNorm1d(b),
                nn.ReLU(), nn.MaxPool1d(2, stride=2, padding=1),
            )
            for a, b in itertools.pairwise(widths)
        ))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).flatten(1)


class PlainSCMM(nn.Module):
    """Encoder, projector, decoder and balance of the losses."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.encoder = Encoder(channels)
        self.projector = nn.Sequential(
            nn.Linear(384, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 128)
        )
        self.decoder = nn.Linear(384, channels * 5)
        self.balance = nn.Parameter(torch.ones(2))

    def loss(
        self, x: Tensor, masked: Tensor, alpha: float, sigma: float, temperature: float
    ) -> Tensor:
        """Total loss of windows (B, C, 5) and one masked copy of each."""
        stacked = torch.cat([x, masked])
        flat, n, b = stacked.flatten(1), 2 * len(x), len(x)
        h = self.encoder(stacked)
        z = self.projector(h)
        off = ~torch.eye(n, dtype=torch.bool, device=x.device)
        weights = _soft_weights(flat, alpha, sigma)
        index = torch.arange(n, device=x.device)
        weights[(index[:, None] % b == index % b) & off] = 1.0
        similarity = (z.unsqueeze(1) * z.unsqueeze(0)).sum(dim=-1)  # broadcast over all pairs
        logits = similarity / temperature - 1e12 * torch.eye(n, device=x.device)
        logs = functional.log_softmax(logits, dim=1)
        contrastive = -(weights * logs)[off].sum() / (n * (n - 1))
        rebuilt = self.decoder(torch.softmax(logits, dim=1) @ h)
        losses = torch.stack([contrastive, functional.mse_loss(rebuilt, flat)])
        square = self.balance**2
        return (0.5 / square * losses + torch.log(1 + square)).sum()


def _soft_weights(flat: Tensor, alpha: float, sigma: float) -> Tensor:
    distance = -functional.cosine_similarity(flat.unsqueeze(1), flat.unsqueeze(0), dim=-1)
    matrix = distance.cpu().numpy()
    off = ~np.eye(len(matrix), dtype=bool)
    matrix[~off] = matrix[off].min()
    scaled = MinMaxScaler().fit_transform(matrix)
    weights = (2 * alpha / (1 + np.exp(scaled / sigma))).astype(np.float32)
    return torch.from_numpy(weights).to(flat.device)


def pretrain(x: Tensor, epochs: int, seed: int = 0, device: str = "cpu") -> PlainSCMM:
    """Pre-train on windows (n, C, 5), ten batches of 256 an epoch."""
    torch.manual_seed(seed)
    model = PlainSCMM(x.shape[1]).to(device)
    optimiser = torch.optim.Adam(
        model.parameters(), lr=5e-4, betas=(0.9, 0.99), weight_decay=3e-4
    )
    loader = DataLoader(TensorDataset(x[:2560]), batch_size=256, shuffle=True)
    for _ in range(epochs):
        total = 0.0
        for (drawn,) in loader:
            batch = drawn.to(device)
            keep = torch.rand_like(batch) > 0.5
            optimiser.zero_grad()
            loss = model.loss(batch, batch * keep, 0.5, 0.05, 0.5)
            loss.backward()
            optimiser.step()
            total += loss.item()
    return model


def finetune(
    x: Tensor, y: Tensor, epochs: int, classes: int, seed: int = 0, device: str = "cpu"
) -> nn.Module:
    """Train encoder and head on calibration windows (n, C, 5), batches of 128."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        Encoder(x.shape[1]), nn.Linear(384, 128), nn.Sigmoid(), nn.Linear(128, classes)
    ).to(device)
    optimiser = torch.optim.Adam(
        model.parameters(), lr=5e-4, betas=(0.9, 0.99), weight_decay=3e-4
    )
    loader = DataLoader(TensorDataset(x, y), batch_size=128, shuffle=True)
    for _ in range(epochs):
        for batch, target in loader:
            optimiser.zero_grad()
            loss = functional.cross_entropy(model(batch.to(device)), target.to(device))
            loss.backward()
            optimiser.step()
            loss.item()
    return model
