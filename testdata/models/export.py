"""Writes the models of this folder and their test data: python3 export.py FOLDER.

Made with PyTorch 1.13, scikit-learn 1.2 and onnx 1.12 (Debian 12: python3-torch python3-sklearn python3-onnx). Weights are random
but fixed, and the last layers are enlarged so that outputs tell right from wrong.
"""
import os
import sys

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier
from torch import nn

root = sys.argv[1]
torch.manual_seed(1)


def write(name, model, **tensors):
    folder = f"{root}/{name}"
    os.makedirs(f"{folder}/test_data_set_0", exist_ok=True)
    for node in model.graph.node:
        node.doc_string = ""
    onnx.save(model, f"{folder}/model.onnx")
    for key, (port, value) in tensors.items():
        with open(f"{folder}/test_data_set_0/{key}.pb", "wb") as f:
            f.write(numpy_helper.from_array(np.ascontiguousarray(value), port).SerializeToString())


def export(name, net, x, **options):
    net.eval()
    with torch.no_grad():
        y = net(x)
    path = f"{root}/{name}.tmp"
    torch.onnx.export(net, (x,), path, opset_version=14, input_names=["x"], output_names=["y"], **options)
    write(name, onnx.load(path), input_0=("x", x.numpy()), output_0=("y", y.numpy()))
    os.remove(path)


class Encoder(nn.Module):
    """A transformer encoder of two layers and two heads."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(8, 16)
        self.place = nn.Parameter(torch.randn(6, 16) * 0.1)
        self.layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, activation="gelu", batch_first=True), 2)
        self.head = nn.Linear(16, 3)
        self.head.weight.data *= 5

    def forward(self, x):
        return self.head(self.layers(self.embed(x) + self.place)[:, 0])


class Sequence(nn.Module):
    """An LSTM of two layers in both directions."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 8, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(16, 3)
        self.head.weight.data *= 5

    def forward(self, x):
        return torch.softmax(self.head(self.lstm(x)[0][:, -1]), -1)


class Block(nn.Module):
    def __init__(self, ins, outs, stride):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(ins, outs, 3, stride, 1, bias=False), nn.BatchNorm2d(outs), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(outs, outs, 3, 1, 1, bias=False), nn.BatchNorm2d(outs))
        self.past = nn.Identity()
        if stride > 1:
            self.past = nn.Sequential(nn.Conv2d(ins, outs, 1, stride, bias=False), nn.BatchNorm2d(outs))

    def forward(self, x):
        return torch.relu(self.second(self.first(x)) + self.past(x))


class Residual(nn.Module):
    """A residual network of seven layers with batch normalisation."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
        self.blocks = nn.Sequential(Block(8, 8, 1), Block(8, 16, 2), Block(16, 32, 2))
        self.head = nn.Linear(32, 10)
        self.head.weight.data *= 5

    def forward(self, x):
        return self.head(torch.flatten(nn.functional.adaptive_avg_pool2d(self.blocks(self.stem(x)), 1), 1))


def boosted():
    """Gradient boosting on the iris data, as the one operator that converters of scikit-learn emit."""
    data, species = load_iris(return_X_y=True)
    data, labels = data.astype(np.float32), [10, 20, 40]
    model = GradientBoostingClassifier(n_estimators=12, max_depth=3, random_state=1).fit(data, np.array(labels)[species])
    node = {f"nodes_{k}": [] for k in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")}
    leaf = {f"class_{k}": [] for k in ("treeids", "nodeids", "ids", "weights")}
    for tree, (kind, estimator) in enumerate((k, e) for row in model.estimators_ for k, e in enumerate(row)):
        t = estimator.tree_
        for i in range(t.node_count):
            if t.children_left[i] < 0:
                entry = (tree, i, 0, 0.0, "LEAF", 0, 0)
                for key, v in zip(leaf, (tree, i, kind, float(t.value[i, 0, 0] * model.learning_rate))):
                    leaf[key].append(v)
            else:
                entry = (tree, i, int(t.feature[i]), float(t.threshold[i]), "BRANCH_LEQ", int(t.children_left[i]), int(t.children_right[i]))
            for key, v in zip(node, entry):
                node[key].append(v)
    op = helper.make_node("TreeEnsembleClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml", name="trees", post_transform="SOFTMAX",
                          classlabels_int64s=labels, base_values=[float(v) for v in np.log(model.init_.class_prior_)], **node, **leaf)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])
    outs = [helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]), helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3])]
    proto = helper.make_model(helper.make_graph([op], "boosted", [x], outs), opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)])
    proto.ir_version = 8
    some = data[::10] + np.float32(0.013)  # away from the thresholds, which lie between measurements
    write("boosted", proto, input_0=("x", some), output_0=("label", model.predict(some)), output_1=("scores", model.predict_proba(some).astype(np.float32)))


# as it is, export sees the operators of each layer and not one fused operator for all of it
export("transformer", Encoder(), torch.randn(1, 6, 8), training=torch.onnx.TrainingMode.PRESERVE)
export("lstm", Sequence(), torch.randn(2, 5, 4))
residual = Residual()
residual.train()
with torch.no_grad():
    for _ in range(5):  # statistics for batch normalisation
        residual(torch.randn(16, 3, 16, 16))
export("resnet", residual, torch.randn(1, 3, 16, 16), training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
boosted()
