"""The layers of Qlib's networks, for scoring only; names of weights are those of Qlib 0.9.7.

Each function makes one network; torch is imported where that happens.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from qlops_assets.core.errors import ArtifactError

if TYPE_CHECKING:
    from torch import Tensor, nn


def network(kind: str, shape: Mapping[str, Any]) -> "nn.Module":
    """Return an untrained network that gives one score per row.

    Args:
        kind: Of ``LAYERS``.
        shape: Sizes and numbers of its layers, as Qlib calls them.

    Raises:
        ArtifactError: there is no such kind, or no network of that shape.
    """
    if kind not in LAYERS:
        raise ArtifactError(f"unknown kind of network {kind!r}; Known: {', '.join(LAYERS)}")
    try:
        return LAYERS[kind](**shape)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise ArtifactError(f"no {kind} network can be of the shape {dict(shape)}") from error


def _dense(input_dim: int, layers: list[int], act: str = "LeakyReLU") -> "nn.Module":
    """``qlib.contrib.model.pytorch_nn.Net``."""
    from torch import nn

    class Dense(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            sizes = [input_dim, *layers]
            hidden = [
                nn.Sequential(
                    nn.Linear(before, after),
                    nn.BatchNorm1d(after),
                    nn.SiLU() if act == "SiLU" else nn.LeakyReLU(negative_slope=0.1),
                )
                for before, after in itertools.pairwise(sizes)
            ]
            parts = [nn.Dropout(0.05), *hidden, nn.Dropout(0.05), nn.Linear(sizes[-1], 1)]
            self.dnn_layers = nn.ModuleList(parts)

        def forward(self, x: "Tensor") -> "Tensor":
            for layer in self.dnn_layers:
                x = layer(x)
            return x[..., 0]

    return Dense()


def _lstm(**shape: int) -> "nn.Module":
    """``LSTMModel`` of ``qlib.contrib.model.pytorch_lstm_ts``."""
    from torch import nn

    return _recurrent(nn.LSTM, **shape)


def _gru(**shape: int) -> "nn.Module":
    """``GRUModel`` of ``qlib.contrib.model.pytorch_gru_ts``."""
    from torch import nn

    return _recurrent(nn.GRU, **shape)


def _recurrent(
    made: "Callable[..., nn.Module]", d_feat: int, hidden_size: int, num_layers: int
) -> "nn.Module":
    """Return a recurrent network, of whose last day's state the score is a linear function."""
    from torch import nn

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = made(d_feat, hidden_size, num_layers, batch_first=True)
            self.fc_out = nn.Linear(hidden_size, 1)

        def forward(self, x: "Tensor") -> "Tensor":
            scores: Tensor = self.fc_out(self.rnn(x)[0][:, -1, :])
            return scores[..., 0]

    return Recurrent()


def _alstm(d_feat: int, hidden_size: int, num_layers: int, rnn_type: str = "GRU") -> "nn.Module":
    """``ALSTMModel`` of ``qlib.contrib.model.pytorch_alstm_ts``."""
    import torch
    from torch import nn

    made, half = nn.LSTM if rnn_type == "LSTM" else nn.GRU, int(hidden_size / 2)

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential()
            self.net.add_module("fc_in", nn.Linear(d_feat, hidden_size))
            self.net.add_module("act", nn.Tanh())
            self.rnn = made(hidden_size, hidden_size, num_layers, batch_first=True)
            self.fc_out = nn.Linear(hidden_size * 2, 1)
            self.att_net = nn.Sequential()
            self.att_net.add_module("att_fc_in", nn.Linear(hidden_size, half))
            self.att_net.add_module("att_dropout", nn.Dropout(0.0))
            self.att_net.add_module("att_act", nn.Tanh())
            self.att_net.add_module("att_fc_out", nn.Linear(half, 1, bias=False))
            self.att_net.add_module("att_softmax", nn.Softmax(dim=1))

        def forward(self, x: "Tensor") -> "Tensor":
            outputs, _ = self.rnn(self.net(x))
            attended = torch.sum(outputs * self.att_net(outputs), dim=1)
            both = torch.cat((outputs[:, -1, :], attended), dim=1)
            scores: Tensor = self.fc_out(both)
            return scores[..., 0]

    return Attention()


def _position(d_model: int, most: int = 1000) -> "nn.Module":
    """``PositionalEncoding`` of ``qlib.contrib.model.pytorch_transformer_ts``."""
    import torch
    from torch import nn

    class Position(nn.Module):
        pe: "Tensor"

        def __init__(self) -> None:
            super().__init__()
            table = torch.zeros(most, d_model)
            place = torch.arange(0, most, dtype=torch.float).unsqueeze(1)
            steps = torch.arange(0, d_model, 2).float() * (-math.log(10000.0) / d_model)
            table[:, 0::2] = torch.sin(place * torch.exp(steps))
            table[:, 1::2] = torch.cos(place * torch.exp(steps))
            self.register_buffer("pe", table.unsqueeze(0).transpose(0, 1))

        def forward(self, x: "Tensor") -> "Tensor":
            return x + self.pe[: x.size(0), :]

    return Position()


def _transformer(d_feat: int, d_model: int, nhead: int, num_layers: int) -> "nn.Module":
    """``Transformer`` of ``qlib.contrib.model.pytorch_transformer_ts``."""
    from torch import nn

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.feature_layer = nn.Linear(d_feat, d_model)
            self.pos_encoder = _position(d_model)
            self.encoder_layer = nn.TransformerEncoderLayer(d_model=d_model, nhead=nhead)
            self.transformer_encoder = nn.TransformerEncoder(
                self.encoder_layer, num_layers=num_layers, enable_nested_tensor=False
            )
            self.decoder_layer = nn.Linear(d_model, 1)

        def forward(self, x: "Tensor") -> "Tensor":
            days_first = self.pos_encoder(self.feature_layer(x).transpose(1, 0))
            output = self.transformer_encoder(days_first).transpose(1, 0)
            scores: Tensor = self.decoder_layer(output[:, -1, :])
            return scores[..., 0]

    return Transformer()


# Kind of network -> what makes it.
LAYERS: "Final[Mapping[str, Callable[..., nn.Module]]]" = {
    "mlp": _dense,
    "lstm": _lstm,
    "gru": _gru,
    "alstm": _alstm,
    "transformer": _transformer,
}
