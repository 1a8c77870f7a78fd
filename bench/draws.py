"""Random numbers that belong to a model, not to a device or to an order of calls.

A number is a function of a key and a counter, computed where the tensors are: the same on any
device, for a model alone or in a stack, in any order, and when a recorded step is replayed. A key
follows from the named axes of a :class:`~bench.method.Context`; :meth:`Draws.at` folds in the
number of an epoch or a step, which may be a tensor on the device.

>>> import torch
>>> from bench.draws import Draws
>>> one, other = Draws.of(1), Draws.of(2)
>>> both = Draws.stack([one, other])
>>> both.at(7).uniform(2, 3).shape
torch.Size([2, 2, 3])
>>> bool(torch.equal(both.at(7).uniform(2, 3)[1], other.at(7).uniform(2, 3)))
True

Words are 32 bits: counters that one half of the key is laid over, spread by the golden ratio, go
through two rounds of multiplication and xor with their own shift (Wellons' ``lowbias32``), the
other half of the key added between them. Keys are 64 bits, mixed for each draw by the finaliser of
SplitMix64 (Steele et al., OOPSLA 2014). All of it is a dozen operations on integers that wrap
around; nothing is read back from the device.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")


def _signed(value: int, bits: int) -> int:
    """A whole number modulo 2^bits, as a signed integer of that width holds it."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


#: Odd constants that counters are multiplied by: of steps, of draws, of words.
_STEP, _DRAW = (_signed(c, 64) for c in (0x9E3779B97F4A7C15, 0xD1342543DE82EF95))
_WORD = _signed(0x9E3779B9, 32)
_MIX = [_signed(c, 64) for c in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)]
_ROUNDS = [_signed(c, 32) for c in (0x7FEB352D, 0x846CA68B)]
_M31 = (1 << 31) - 1
#: Proposals of a gamma number. One is refused with a probability below 0.049, all of them 3e-11.
_TRIES = 8


def _ones(width: int, shift: int) -> int:
    """Bits that a logical shift leaves; torch's own shifts in copies of the sign."""
    return (1 << (width - shift)) - 1


def _mixed(z: Tensor) -> Tensor:
    """Keys (int64), each bit of which depends on all bits of ``z``."""
    z = (z ^ ((z >> 30) & _ones(64, 30))) * _MIX[0]
    z = (z ^ ((z >> 27) & _ones(64, 27))) * _MIX[1]
    return z ^ ((z >> 31) & _ones(64, 31))


def _hashed(low: Tensor, high: Tensor, count: int) -> Tensor:
    """Words (..., count), int32, of keys' halves (..., 1), int32."""
    # Xor before the product: a compiler would fold a product of counters into one constant, which
    # overflows in its 32 bits.
    x = torch.arange(count, dtype=torch.int32, device=low.device) ^ low
    x *= _WORD
    x ^= (x >> 16).bitwise_and_(_ones(32, 16))
    x = torch.add(high, x, alpha=_ROUNDS[0])
    x ^= (x >> 15).bitwise_and_(_ones(32, 15))
    x *= _ROUNDS[1]
    x ^= (x >> 16).bitwise_and_(_ones(32, 16))
    return x


def meeting(value: float | Tensor, other: Tensor) -> float | Tensor:
    """A value of each model (K,), shaped to multiply a tensor (K, ...); or one of all models."""
    if not isinstance(value, Tensor):
        return value
    return value.to(other).view(*value.shape, *[1] * (other.dim() - value.dim()))


def _model_by_model(
    draw: Callable[Concatenate[Draws, P], Tensor],
) -> Callable[Concatenate[Draws, P], Tensor]:
    """On a CPU, draw for one model after the other.

    A dozen passes over the numbers of one stay in the cache, and the last bits of a logarithm
    cannot depend on where in a stack it stands.
    """

    @functools.wraps(draw)
    def drawn(self: Draws, /, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        if not self.keys.dim() or self.device.type != "cpu":
            return draw(self, *args, **kwargs)
        out = []
        for k, key in enumerate(self.keys):
            alone = Draws(key, self._calls)
            own = [a[k] if isinstance(a, Tensor) else a for a in args]
            out.append(draw(alone, *own, **kwargs))  # type: ignore[arg-type]
        self._calls = alone._calls
        return torch.stack(out) if len(out) > 1 else out[0].unsqueeze(0)

    return drawn


class Draws:
    """A stream of random numbers for each of K models.

    Each call draws anew: the n-th call on an object uses the n-th part of its stream. Take a fresh
    object for each step, ``draws.at(step)``: what a step draws then depends on nothing before it,
    and a step that was recorded once can be replayed.

    Parameters
    ----------
    keys : (K,) or () Tensor of int64
        From :meth:`of` and :meth:`stack`. What is drawn has their shape in front of the one asked
        for: of a single key ``uniform(2, 3)`` is (2, 3), of a stack (K, 2, 3).
    calls : int
        How many there were.
    """

    def __init__(self, keys: Tensor, calls: int = 0) -> None:
        self.keys, self._calls = keys, calls

    @classmethod
    def of(cls, seed: int, device: str | torch.device = "cpu") -> Draws:
        """The stream of one model, from a whole number; without an axis K."""
        return cls(torch.tensor(_signed(seed, 64)).to(device))

    @classmethod
    def stack(cls, each: Sequence[Draws], device: str | torch.device | None = None) -> Draws:
        """The streams of several models, along an axis K."""
        keys = torch.stack([one.keys for one in each])
        return cls(keys if device is None else keys.to(device))

    @property
    def device(self) -> torch.device:
        """Where numbers are drawn."""
        return self.keys.device

    def to(self, device: str | torch.device) -> Draws:
        """The same streams on another device."""
        return Draws(self.keys.to(device))

    def at(self, *numbers: int | Tensor) -> Draws:
        """The streams at an epoch, a step, ...: independent of those at any other.

        Parameters
        ----------
        numbers : int or int64 Tensor
            A tensor, of all models () or of each (K,), may change between replays of a graph.
        """
        keys = self.keys
        for number in numbers:
            step = number * _STEP if isinstance(number, Tensor) else _signed(number * _STEP, 64)
            keys = _mixed(keys) + step
        return Draws(keys)

    @_model_by_model
    def words(self, *shape: int) -> Tensor:
        """Words of 32 random bits, as int32."""
        key = _mixed(self.keys + _signed(self._calls * _DRAW, 64))
        self._calls += 1
        low, high = (half.to(torch.int32).unsqueeze(-1) for half in (key << 32 >> 32, key >> 32))
        return _hashed(low, high, math.prod(shape)).view(*key.shape, *shape)

    @_model_by_model
    def uniform(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Uniform in [0, 1): multiples of 2^-24, or in float64 of 2^-53."""
        if dtype == torch.float64:
            high, low = self.words(2, *shape).unbind(self.keys.dim())
            high, low = (high >> 5) & _ones(32, 5), (low >> 6) & _ones(32, 6)
            return (high.double() * 2.0**26 + low) * 2.0**-53
        words = self.words(*shape)
        words >>= 8
        return words.to(torch.float32).mul_(2.0**-24).add_(0.5).to(dtype)

    @_model_by_model
    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal, by Box and Muller from pairs of words: up to 6.7 in size.

        Logarithm, sine and cosine differ between devices in the last bits of float64, in which they
        are taken where the device has it.
        """
        count = math.prod(shape)
        half = (count + 1) // 2
        first, second = self.words(2, half).unbind(self.keys.dim())
        inner = torch.float32 if self.device.type == "mps" else torch.float64
        share = (first & _M31).to(inner).add_(0.5).mul_(2.0**-31)
        angle = second.to(inner).mul_(math.pi * 2.0**-31)
        radius = share.log_().mul_(-2).sqrt_()
        both = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=-1)
        return both[..., :count].reshape(*self.keys.shape, *shape).to(dtype)

    @_model_by_model
    def mask(self, hidden: float | Tensor, *shape: int) -> Tensor:
        """What to keep: False with a probability of ``hidden``, of all models or of each (K,)."""
        words = self.words(*shape)
        words >>= 1
        if isinstance(hidden, Tensor):
            # To 32 bits, as a number is below, so that a model alone has the same mask.
            limit = (hidden.float() * 2.0**31).ceil().long() - 2**30
            return words >= meeting(limit, words)
        part, exponent = math.frexp(hidden)
        single = math.ldexp(round(part * 2**24), exponent - 24)
        return words >= math.ceil(single * 2.0**31) - 2**30

    @_model_by_model
    def integers(self, high: int | Tensor, *shape: int) -> Tensor:
        """Whole numbers from 0 to below ``high`` (at most 2^31), as int64.

        ``high`` may be a tensor that meets what is drawn, (K, ...). None is likelier than another
        by more than ``high`` in 2^32.
        """
        return ((self.words(*shape).long() & _ones(64, 32)) * high) >> 32

    @_model_by_model
    def permutation(self, n: int, *shape: int, take: int | None = None) -> Tensor:
        """The numbers 0 to ``n - 1`` in random order, along a last axis; or the first ``take``."""
        # Each number stands in the lower half of what is sorted, so that no two are equal.
        keys = (self.words(*shape, n).long() << 32) | torch.arange(n, device=self.device)
        if take is None or take >= n:
            return keys.sort(dim=-1).values & _ones(64, 32)
        return keys.topk(take, dim=-1, largest=False).values & _ones(64, 32)

    @_model_by_model
    def beta(self, a: float | Tensor, b: float | Tensor, *shape: int) -> Tensor:
        """Numbers of Beta(a, b); parameters of all models or of each (K,).

        From two gamma numbers (Marsaglia and Tsang, ACM TOMS 2000), each the first of eight
        proposals that passes: the distribution is Beta's up to 6e-11 in total variation. float64
        where the device has it; equal on all devices within 1e-6.
        """
        wide = torch.float32 if self.device.type == "mps" else torch.float64
        axis = self.keys.dim()
        z = self.normal(_TRIES, 2, *shape, dtype=wide)
        u = self.uniform(_TRIES + 1, 2, *shape, dtype=wide) + 2.0**-54
        first = torch.arange(2, device=self.device).view(2, *[1] * len(shape)).to(wide)
        p = (1 - first) * meeting(a, z) + first * meeting(b, z)
        # Gamma numbers of p + 1, brought down to p by U^(1/p); logarithms, since p may be small.
        d = p + 2 / 3
        v = (1 + z / (3 * d.sqrt())) ** 3
        log_v = v.clamp(min=1e-30).log()
        passes = (v > 0) & (u.narrow(axis, 0, _TRIES).log() < z**2 / 2 + d * (1 - v + log_v))
        chosen = passes.int().argmax(dim=axis, keepdim=True)
        gamma = torch.where(passes, log_v, 0.0).gather(axis, chosen)
        gamma = d.log() + gamma + u.narrow(axis, _TRIES, 1).log() / p
        x, y = gamma.squeeze(axis).unbind(axis)
        return torch.sigmoid(x - y)

    def seed(self) -> int:
        """A whole number below 2^63, to seed a generator of another library; read by the host."""
        first, second = self.words(2).tolist()
        return int((first & _ones(64, 32)) << 31 | (second & _M31))
