"""Simulated recordings: a model of EEG in which the size of every effect is known.

Twenty-four cortical sources at places common to all corpora have power in five bands. Emotion
shifts the log power of some (source, band) pairs (:data:`PATTERN`); so do the subject, the
session's drift and the trial; and, where the recipe has them, states that last for seconds
(:mod:`.courses`). Sources are mixed to the scalp over the real montage, on top of
spatially correlated 1/f background and sensor noise; the recording site adds its reference, cap,
amplifier and mains. Each effect is a standard normal draw (or a constant) times its number in
the recipe, hence exactly absent at 0, and changing one size leaves all other draws as they are.

All randomness comes from streams named by (seed, corpus, subject, session, trial, purpose), so
that any trial can be drawn alone, in any order and in any process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.channels import positions
from bench.data.recipe import Recipe

from .brain import (
    BANDS,
    CONFUSABLE,
    EMOTIONS,
    PATTERN,
    SOURCES,
    Array,
    Emotion,
    PlannedTrial,
    background_mixing,
    emotion_axes,
    moved,
    pattern_weights,
    resting_power,
    rotated,
    site_of,
    stream,
    topography,
)
from .courses import course, level_sd

__all__ = ["EMOTIONS", "PATTERN", "SOURCES", "Emotion", "Generator"]

# Standard deviations at an effect size of 1; natural log power unless said otherwise.
_SUBJECT_POWER = 0.35
_SUBJECT_GAIN = 0.30
_SUBJECT_PLACE = 0.10  # radians by which a source stands elsewhere
_SUBJECT_PEAK_HZ = 0.8
_SUBJECT_PATTERN = 0.15  # own deviation of the emotion pattern, per unit of emotion
_SESSION_POWER = 0.15
_SESSION_DRIFT = 0.15
_TRIAL_POWER = 0.2
#: Time constant of the build-up, as a share of the trial, so that a shortened corpus keeps shape.
_BUILDUP_SHARE = 0.1
#: Ratings from 1 to 9: mean, pull of the video (4 would be the whole scale) and personal taste.
#: Chosen for the spread of DEAP's ratings (about 2) and its share of high valence (about 55 %).
_RATING_MEAN, _RATING_PULL, _TASTE = 5.25, 2.4, 1.4
_BACKGROUND_UV = 3.5
_NOISE_UV = 1.0


@dataclass(frozen=True)
class _Person:
    """One subject at one site.

    Attributes
    ----------
    mixing : (channels, sources) float32
    background : (channels, channels + 1) float32
        Mixing of independent background sources.
    power : (sources, bands)
        Log power at rest.
    pattern : (3, sources, bands)
        Own emotion pattern, at a class effect of 1.
    peak : float
        Alpha peak in Hz.
    """

    mixing: NDArray[np.float32]
    background: NDArray[np.float32]
    power: Array
    pattern: Array
    peak: float


class Generator:
    """Draws the recordings of one simulated corpus.

    Parameters
    ----------
    corpus : str
        Name of the corpus; selects its recording site and its streams.
    recipe : Recipe
        Sizes of the effects, and the seed.
    channels : sequence of str
        EEG electrodes, in any spelling.
    rate : float
        Samples per second.
    sessions_trials : int
        Trials in a session: orders of presentation run from 0 to this, exclusive.

    Raises
    ------
    UnknownNameError
        An electrode has no known position.
    """

    def __init__(
        self,
        corpus: str,
        recipe: Recipe,
        channels: Sequence[str],
        rate: float,
        sessions_trials: int,
    ) -> None:
        self.corpus = corpus
        self.recipe = recipe
        self.channels = tuple(channels)
        self.rate = float(rate)
        self.sessions_trials = sessions_trials
        self.site = site_of(corpus)
        self._electrodes, self._reference = self._montage()
        self._people: dict[int, _Person] = {}

    def signal(  # noqa: PLR0917
        self, subject: int, session: int, trial: int, order: int, emotion: Emotion, samples: int
    ) -> NDArray[np.float64]:
        """EEG of one trial.

        Parameters
        ----------
        subject, session, trial : int
            Numbers as the owner gives them.
        order : int
            Rank of presentation in the session, from 0.
        emotion : Emotion
            What the trial is labelled with; a mislabelled trial is drawn from another one.
        samples : int
            Length at the corpus's rate.

        Returns
        -------
        (channels, samples) float64
            Microvolt; a function of recipe, corpus and arguments alone.

        Raises
        ------
        ValueError
            ``order`` or ``samples`` is out of range.
        """
        if not 0 <= order < self.sessions_trials or samples < 1:
            raise ValueError(
                f"order {order} of {self.sessions_trials} trials, with {samples} samples"
            )
        person = self._person(subject)
        level = self.rest(subject, session, order)
        level += self.trial_sd * self._stream(subject, session, trial, "level").standard_normal(
            level.shape
        )
        grown = self.buildup(np.arange(samples) / self.rate, samples / self.rate)
        felt = self._felt(subject, session, trial, emotion)
        shift = self.shift(subject, felt)
        moving = course(self.recipe, felt, -int(-samples // self.rate),
                        lambda purpose: self._stream(subject, session, trial, purpose))
        # The length is an axis, so that a baseline asked for by itself is another stretch.
        rng = self._stream(subject, session, trial, "signal", samples)
        sources = self._sources(rng, person.peak, level, shift, grown, moving)
        mixed = person.mixing @ sources + self._ambient(rng, person, samples)
        mixed += self._mains(rng, samples)
        return mixed.astype(np.float64)

    def trial(self, subject: int, session: int, plan: PlannedTrial) -> NDArray[np.float64]:
        """EEG of a planned trial, as :meth:`signal` gives it."""
        return self.signal(
            subject, session, plan.number, plan.order, plan.emotion, plan.samples)

    def ratings(self, subject: int, stimulus: int, emotion: Emotion) -> dict[str, float]:
        """Self-report of a subject on a video that evokes ``emotion`` on average.

        Personal taste does not shrink with the subject effect: it decides what the labels are,
        not how the signals differ between people.

        Returns
        -------
        dict
            "valence", "arousal", "dominance" and "liking" between 1 and 9, two decimals; some
            are exactly 5.0 or 4.5, where thresholds of the field disagree.
        """
        rng = self._stream(subject, "rating", stimulus)
        taste = _TASTE * rng.standard_normal(4)
        snap = rng.random(2)
        valence = _RATING_MEAN + _RATING_PULL * emotion.valence + taste[0]
        arousal = _RATING_MEAN + _RATING_PULL * emotion.arousal + taste[1]
        values = {
            "valence": valence,
            "arousal": arousal,
            "dominance": 5 + 0.3 * (valence - 5) + taste[2],
            "liking": 5.5 + 0.6 * (valence - 5) + taste[3],
        }
        for name, chance in zip(("valence", "arousal"), snap, strict=True):
            # People like round numbers near the middle of a scale.
            if abs(values[name] - 5) < 1 and chance < 0.3:
                values[name] = 5.0 if chance < 0.15 else 4.5
        return {name: round(float(np.clip(v, 1, 9)), 2) for name, v in values.items()}

    def presentation_order(self, subject: int, session: int, n: int) -> NDArray[np.int64]:
        """Random permutation of ``range(n)``, one per subject and session."""
        return self._stream(subject, session, "presentation").permutation(n).astype(np.int64)

    # What an observer who knows the truth may ask; see `attainable`.

    @property
    def trial_sd(self) -> float:
        """Standard deviation of a trial's random level, per (source, band)."""
        return _TRIAL_POWER * self.recipe.trial_effect

    @property
    def level_sd(self) -> float:
        """Standard deviation of a window's random level: of the trial, and of the moment."""
        return float(np.hypot(self.trial_sd, level_sd(self.recipe)))

    def shift(self, subject: int, emotion: Emotion) -> Array:
        """(sources, bands) log power that fully built-up ``emotion`` adds in a subject."""
        pattern = self._person(subject).pattern
        return self.recipe.class_effect * np.tensordot(emotion_axes(emotion), pattern, 1)

    def rest(self, subject: int, session: int, order: int) -> Array:
        """(sources, bands) log power without emotion, before what a trial adds."""
        return self._person(subject).power + self._drift(subject, session, order)

    def sensors(
        self, subject: int
    ) -> tuple[NDArray[np.float32], Array, NDArray[np.float32]]:
        """How sources come to the channels of a subject.

        Returns
        -------
        mixing : (channels, sources) float32
        response : (bands,) float64
            Share of a source's power in a band that the recording site lets through.
        ambient : (bands, channels, channels) float32
            Factor of the covariance of background and noise in each band; mains are left out.
        """
        person = self._person(subject)
        _, hertz = _grid(round(60 * self.rate), self.rate)
        inner = hertz[1:-1]
        passed = self._response(inner) ** 2
        pink = np.where(inner >= 0.5, 1 / np.maximum(inner, 0.5), 0)
        pink *= _BACKGROUND_UV**2 / pink.sum()
        noise = _NOISE_UV**2 / len(inner)
        response, ambient = [], []
        background = person.background @ person.background.T
        for b, (low, high) in enumerate(BANDS):
            bins = (inner >= low) & (inner < high)
            shape = _band_shape(inner[bins], b, person.peak) ** 2
            response.append(float((shape * passed[bins]).sum()))
            covariance = (pink * passed)[bins].sum() * background
            covariance = covariance + noise * passed[bins].sum() * np.eye(len(background))
            ambient.append(np.linalg.cholesky(covariance))
        return person.mixing, np.array(response), np.stack(ambient).astype(np.float32)

    def buildup(self, times: Array, duration: float) -> Array:
        """Share of the emotion, 0..1, that is there ``times`` seconds into a trial."""
        tau = _BUILDUP_SHARE * self.recipe.buildup * duration
        if tau == 0:
            return np.ones_like(times)
        return 1 - np.exp(-times / tau)

    def confusions(self, emotion: Emotion) -> tuple[Emotion, ...]:
        """Emotions, equally likely, that a mislabelled trial really evoked."""
        if self.corpus in CONFUSABLE:
            known = [EMOTIONS[name] for name in CONFUSABLE[self.corpus]]
            return tuple(e for e in known if e != emotion)
        return (Emotion(-emotion.valence, -emotion.arousal),)

    def _felt(self, subject: int, session: int, trial: int, emotion: Emotion) -> Emotion:
        rng = self._stream(subject, session, trial, "label")
        mislabelled, which = rng.random(2)
        if mislabelled >= self.recipe.label_noise:
            return emotion
        others = self.confusions(emotion)
        return others[int(which * len(others))]

    def _stream(self, *axes: object) -> np.random.Generator:
        return stream(self.recipe.seed, self.corpus, *axes)

    def _montage(self) -> tuple[Array, Array]:
        """Positions of channels and reference, (n + 1, 3), and the referencing (n, n + 1).

        Without a corpus effect all corpora are referenced as SEED is: the effect is what makes
        corpora differ, so that SEED itself stays as hard as it was.
        """
        effect, n = self.recipe.corpus_effect, len(self.channels)
        pair = positions(("CZ", "CPZ")).sum(0)
        places = np.vstack([positions(self.channels), pair / np.linalg.norm(pair)])
        average = min(effect, 1.0) if self.site.average else 0.0
        subtracted = np.full(n + 1, average / n)
        subtracted[n] = 1 - average
        return rotated(places, effect * np.array(self.site.cap)), np.eye(n, n + 1) - subtracted

    def _person(self, subject: int) -> _Person:
        if subject not in self._people:
            self._people[subject] = self._draw_person(subject)
        return self._people[subject]

    def _draw_person(self, subject: int) -> _Person:
        effect = self.recipe.subject_effect
        rng = self._stream(subject, "person")
        shape = (len(SOURCES), len(BANDS))
        power = resting_power() + effect * _SUBJECT_POWER * rng.standard_normal(shape)
        gain = np.exp(0.5 * effect * _SUBJECT_GAIN * rng.standard_normal())
        gain *= np.exp(0.5 * self.recipe.corpus_effect * self.site.gain)
        sources = positions(SOURCES)
        jitter = effect * _SUBJECT_PLACE * rng.standard_normal(sources.shape)
        peak = float(np.clip(10 + effect * _SUBJECT_PEAK_HZ * rng.standard_normal(), 8.5, 13))
        common = pattern_weights()
        deviation = effect * _SUBJECT_PATTERN * rng.standard_normal(common.shape)
        # Only where emotion acts at all, so that PATTERN stays the whole truth about where.
        pattern = common + deviation * (common != 0).any(0)
        mixing = self._reference @ topography(self._electrodes, moved(sources, jitter))
        background = self._reference @ background_mixing(self._electrodes)
        return _Person(
            (gain * mixing).astype(np.float32), (gain * background).astype(np.float32),
            power, pattern, peak,
        )

    def _drift(self, subject: int, session: int, order: int) -> Array:
        """(sources, bands) slow change of log power, as far as it has come at ``order``."""
        rng = self._stream(subject, session, "drift")
        shape = (len(SOURCES), len(BANDS))
        offset = _SESSION_POWER * rng.standard_normal(shape)
        waves = _SESSION_DRIFT * rng.standard_normal((3, *shape))
        if self.recipe.class_effect == 0:
            # SEED's label list is the same for everybody: a drift that ran along it would be
            # the same class information for all subjects. Under the null none may remain.
            order = int(rng.permutation(self.sessions_trials)[order])
        phase = np.pi * (order + 0.5) / self.sessions_trials
        k = np.arange(1, 4)
        return self.recipe.session_drift * (offset + np.tensordot(np.cos(k * phase) / k, waves, 1))

    def _response(self, hertz: Array) -> Array:
        """Amplitude response of the recording site: pass band and amplifier tilt."""
        low, high = self.site.passband
        safe = np.maximum(hertz, 1e-3)
        # Butterworth-like flanks of order 6, as steep as the owners' filters look.
        flanks = 1 / np.sqrt((1 + (low / safe) ** 12) * (1 + (safe / high) ** 12))
        tilt = self.recipe.corpus_effect * self.site.tilt
        return flanks * (np.maximum(hertz, 1) / 10) ** (tilt / 2)

    def _sources(  # noqa: PLR0917
        self, rng: np.random.Generator, peak: float, level: Array, shift: Array, grown: Array,
        moving: Array | None,
    ) -> NDArray[np.float32]:
        """(sources, samples) activity: each band shaped in frequency, then scaled in time."""
        samples = len(grown)
        n, hertz = _grid(samples, self.rate)
        share = grown.astype(np.float32)
        response = self._response(hertz)
        total = np.zeros((len(SOURCES), samples), np.float32)
        second = (np.arange(samples) // self.rate).astype(np.int64)
        for b, (low, high) in enumerate(BANDS):
            bins = np.flatnonzero((hertz >= low) & (hertz < high))
            amplitude = response[bins] * _band_shape(hertz[bins], b, peak)
            amplitude = np.exp(level[:, b] / 2)[:, None] * amplitude * (n / 2)
            spectrum = np.zeros((len(SOURCES), n // 2 + 1), np.complex64)
            spectrum[:, bins] = amplitude.astype(np.float32) * _white(rng, len(SOURCES), len(bins))
            part = np.fft.irfft(spectrum, n, axis=1)[:, :samples]
            emotional = np.flatnonzero(shift[:, b])
            half = (shift[emotional, b] / 2).astype(np.float32)
            part[emotional] *= np.exp(half[:, None] * share)
            if moving is not None:
                part *= np.exp(moving[second, :, b] / 2).T.astype(np.float32)
            total += part
        return total

    def _ambient(
        self, rng: np.random.Generator, person: _Person, samples: int
    ) -> NDArray[np.float32]:
        """(channels, samples) background with a 1/f spectrum, plus noise of the sensors."""
        n, hertz = _grid(samples, self.rate)
        count = len(self.channels)
        inner = slice(1, (n + 1) // 2)
        pink = np.where(hertz[inner] >= 0.5, 1 / np.sqrt(np.maximum(hertz[inner], 0.5)), 0)
        pink *= _BACKGROUND_UV / np.sqrt(np.sum(pink**2))
        flat = np.full(pink.shape, _NOISE_UV / np.sqrt(len(pink)))
        response = self._response(hertz[inner]) * (n / 2)
        bins = len(pink)
        spectrum = np.zeros((count, n // 2 + 1), np.complex64)
        white = _white(rng, count + 1, bins) * (pink * response).astype(np.float32)
        spectrum[:, inner] = person.background @ white
        spectrum[:, inner] += _white(rng, count, bins) * (flat * response).astype(np.float32)
        return np.fft.irfft(spectrum, n, axis=1)[:, :samples].astype(np.float32, copy=False)

    def _mains(self, rng: np.random.Generator, samples: int) -> NDArray[np.float32]:
        """(channels, samples) hum of 50 Hz, stronger at some electrodes than at others."""
        size = self.recipe.corpus_effect * self.site.line
        uneven = self._stream("mains").uniform(0.3, 1.7, len(self.channels))
        phase = rng.uniform(0, 2 * np.pi)
        time = np.arange(samples) / self.rate
        size *= float(self._response(np.array([50.0]))[0])
        wave = np.cos(2 * np.pi * 50 * time + phase)
        return (size * uneven[:, None] * wave).astype(np.float32)


def _grid(samples: int, rate: float) -> tuple[int, Array]:
    """Transform length of at least ``samples``, quick to transform, and its frequencies in Hz."""
    from scipy.fft import next_fast_len

    n = next_fast_len(samples, real=True)
    return n, np.fft.rfftfreq(n, 1 / rate)


def _band_shape(hertz: Array, band: int, peak: float) -> Array:
    """Amplitudes of one band whose squares sum to 1; alpha has a peak, the others fall as 1/f."""
    power = 1 / hertz
    if BANDS[band] == (8, 14):
        power = 0.1 + np.exp(-0.5 * ((hertz - peak) / 1.2) ** 2)
    return np.sqrt(power / power.sum())


def _white(rng: np.random.Generator, rows: int, bins: int) -> NDArray[np.complex64]:
    """(rows, bins) complex normal numbers with unit variance in either part."""
    pairs = rng.standard_normal((rows, bins, 2), dtype=np.float32)
    return pairs.view(np.complex64)[..., 0]
