"""Makes report-small.safetensors: the report's network in PyTorch, small, with what it says.

    pip install torch==2.11.0 safetensors numpy
    python3 tests/golden/make.py

The file is the model's own state dict, as any PyTorch user would save it, plus the notes fed
(`golden.*`) and, after each of them, the heads' outputs and the LSTM's states.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

LAYERS, HIDDEN, EMBEDDING, PITCH_HIDDEN = 2, 32, 12, 21
PITCHES, BOS, NOTES = 129, 128, 96


class Report(nn.Module):
    """The report's network, under its own names."""

    def __init__(self):
        super().__init__()
        self.pitch_embedding_layer = nn.Linear(PITCHES, EMBEDDING, bias=False)
        self.rnn = nn.LSTM(EMBEDDING + 2, HIDDEN, LAYERS, batch_first=True)
        self.decoder_pitch1 = nn.Linear(HIDDEN, PITCH_HIDDEN)
        self.decoder_pitch2 = nn.Linear(PITCH_HIDDEN, PITCHES)
        self.decoder_step = nn.Linear(HIDDEN, 1)
        self.decoder_duration = nn.Linear(HIDDEN, 1)

    def forward(self, pitch, step, duration, state=None):
        one_hot = nn.functional.one_hot(pitch, PITCHES).float()
        times = torch.stack([step, duration], -1)
        inputs = torch.cat([self.pitch_embedding_layer(one_hot), times], -1)
        top, state = self.rnn(inputs, state)
        logits = self.decoder_pitch2(self.decoder_pitch1(top).relu())
        return logits, self.decoder_step(top), self.decoder_duration(top), state


def main():
    torch.manual_seed(11)
    model = Report()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 3  # away from the flat middle of sigmoid and tanh
    pitch = torch.randint(21, 109, (NOTES + 1,))
    pitch[0] = BOS
    step, duration = torch.rand(2, NOTES + 1) * 1.5
    step[0] = duration[0] = 0
    outputs, state = [], None
    with torch.no_grad():
        for at in range(NOTES + 1):
            heard = [each[None, at : at + 1] for each in (pitch, step, duration)]
            *heads, state = model(*heard, state)
            outputs.append([*(head.flatten() for head in heads), state[0][:, 0], state[1][:, 0]])
    names = ("logits", "next_step", "next_duration", "hidden", "cell")
    golden = {f"golden.{name}": torch.stack(rows) for name, rows in zip(names, zip(*outputs))}
    golden |= {"golden.pitch": pitch.int(), "golden.step": step, "golden.duration": duration}
    path = Path(__file__).with_name("report-small.safetensors")
    save_file({**model.state_dict(), **golden}, path)


if __name__ == "__main__":
    main()
