"""The keys of a model's JSON that say how it is trained."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from sepcore.config.separation import SeparationKeys

_Share = Annotated[float, Field(ge=0, lt=1)]
# What NumPy's and Keras' own generators take.
_Seed = Annotated[int, Field(ge=0, lt=2**32)]


MAGNITUDE_LOSSES = ("L1_mask", "weighted_L1_mask", "L2_mask")
COMPLEX_LOSSES = ("L1_complex", "RMSE_complex", "L1_waveform", "multi_stft")
MULTI_STFT_LENGTHS = (2048, 1024, 512)
"""Frames of the three STFTs of `multi_stft` in samples, as of Parallel WaveGAN's (Yamamoto et al., ICASSP 2020)."""
LossType = Literal["L1_mask", "weighted_L1_mask", "L2_mask", "L1_complex", "RMSE_complex", "L1_waveform", "multi_stft"]


class TrainingKeys(SeparationKeys):
    """Spleeter's keys, and this project's own, whose defaults train as Spleeter does."""

    optimizer: Literal["Adam", "Adadelta", "SGD"] = "Adam"
    """Optimizer, with TensorFlow 1's constants."""
    learning_rate: PositiveFloat = 1e-4
    """Learning rate of Adam and SGD; Adadelta keeps TensorFlow 1's 0.001, as in Spleeter."""
    loss_type: LossType = "L1_mask"
    """Of magnitudes: mean absolute error, plain or weighted by each example's mean target, or mean squared error (of
    this project's own). Of complex networks (`RMSE_complex` unless another is given): mean absolute error, or root of
    the mean square, of real and imaginary parts; mean absolute error of the waveforms; or the latter and that of the
    magnitudes of three STFTs, of 2048, 1024 and 512 samples."""
    batch_size: PositiveInt = 4
    """Segments in a training step."""
    random_seed: _Seed = 0
    """Seed of every random choice, less than 2^32."""
    train_max_steps: PositiveInt = 100_000
    """Training ends after so many steps."""
    save_checkpoints_steps: PositiveInt = 300
    """A checkpoint is written every so many steps."""
    save_summary_steps: PositiveInt = 5
    """Losses are logged every so many steps."""
    throttle_secs: PositiveFloat = 600
    """No validation sooner than so many seconds after the last one."""
    init_from: str | None = None
    """Model whose weights training starts from: what `-p` takes (own key)."""
    model_choice: Literal["last", "validation_loss", "validation_sdr"] = "last"
    """Which weights become the model: the last, or the best at a validation. The best and the last are kept in any
    case (own key)."""
    validation_songs: NonNegativeInt = 2
    """Whole validation songs that are separated and scored at each validation; 0: none (own key)."""
    patience: PositiveInt | None = None
    """Training ends after so many validations without a better one (own key)."""
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    """Learning rate: constant, falling to 0 along a cosine at `train_max_steps`, or lowered when validations get no
    better (own key)."""
    warmup_steps: NonNegativeInt = 0
    """Steps in which the learning rate rises from 0 (own key)."""
    plateau_patience: PositiveInt = 3
    """Validations without a better one after which `plateau` lowers the learning rate (own key)."""
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """What `plateau` multiplies it by (own key)."""
    clip_norm: PositiveFloat | None = None
    """Gradients are scaled down to this norm, taken over all weights (own key)."""
    ema: _Share = 0.0
    """Decay of the running mean of the weights that is validated and becomes the model; 0: the weights themselves (own
    key)."""
    batch_statistics: bool = False
    """Batch norm normalizes by the statistics of the batch, as it was meant; in Spleeter it never does (own key)."""
    batch_norm_momentum: _Share = 0.99
    """Momentum of the statistics that batch norm keeps for separation, with `batch_statistics` (own key)."""
    dropout: _Share = 0.0
    """Share of values dropped after the first three levels of the decoder; in Spleeter nothing ever is (own key)."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Arithmetic of the network in training; weights and losses are float32. GPUs since Ampere multiply float32 in TF32
    there, unless `deterministic` is true (own key)."""
    jit: bool = False
    """Compile the training step with XLA: for GPUs; on CPUs it is slower (own key)."""
    deterministic: bool = False
    """Two runs, or one stopped and gone on with, are equal bit for bit; validates at every checkpoint, whatever
    `throttle_secs` (own key)."""
    num_devices: PositiveInt | None = None
    """Devices that share a batch; default: all GPUs, or the CPU (own key)."""
    gpu_memory_mb: PositiveInt | None = None
    """Limit of the memory taken on each GPU; default: as it is needed (own key)."""

    @model_validator(mode="after")
    def _loss_is_of_the_networks_domain(self) -> Self:
        is_complex = self.model.domain == "complex"
        if is_complex and "loss_type" not in self.model_fields_set:
            object.__setattr__(self, "loss_type", "RMSE_complex")  # the field's default is for magnitudes
        losses = COMPLEX_LOSSES if is_complex else MAGNITUDE_LOSSES
        if self.loss_type not in losses:
            raise ValueError(f"loss_type is {self.loss_type}; {self.model.type} takes one of {', '.join(losses)}.")
        return self

    @property
    def covered_samples(self) -> int:
        """Samples of a segment that all their STFT frames cover, so that the inverse STFT gives them back."""
        return (self.segment_frames + 1) * self.hop_length - self.frame_length

    @model_validator(mode="after")
    def _segment_holds_what_the_loss_compares(self) -> Self:
        needed = {"L1_waveform": 1, "multi_stft": max(MULTI_STFT_LENGTHS)}.get(self.loss_type)
        if needed and self.covered_samples < needed:
            least = -(-(needed + self.frame_length) // self.hop_length) - 1
            raise ValueError(
                f"T is {self.segment_frames}; {self.loss_type} compares waveforms, which need at least T = {least}. "
                "Raise T, or take another loss_type."
            )
        return self

    @model_validator(mode="after")
    def _batch_is_shared_out_evenly(self) -> Self:
        if self.num_devices and self.batch_size % self.num_devices:
            raise ValueError(
                f"batch_size is {self.batch_size}; num_devices = {self.num_devices} need a multiple of it. "
                f"Try {-(-self.batch_size // self.num_devices) * self.num_devices}."
            )
        return self

    @model_validator(mode="after")
    def _chosen_by_what_is_measured(self) -> Self:
        if self.model_choice == "validation_sdr" and not self.validation_songs:
            raise ValueError("model_choice is 'validation_sdr' and validation_songs 0; score at least 1 song.")
        return self

    @model_validator(mode="after")
    def _warmup_ends_before_the_training(self) -> Self:
        if self.schedule == "cosine" and self.warmup_steps >= self.train_max_steps:
            raise ValueError(
                f"warmup_steps is {self.warmup_steps}; a cosine of {self.train_max_steps} steps needs fewer. "
                f"Try {self.train_max_steps // 10}."
            )
        return self
