# Two commands do everything: `make demo` and `make test`. Python 3.11, pip and make are all they need.
PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/out/demo
# Vocabulary, length and held-out share fit so small a text: it shows the way, not what a model can do.
SMALL := --config configs/model-5m.yaml -s model.vocab=2000 -s model.seq_len=512 -s data.seq_len=256 \
	-s data.held_out=0.1 -s batch_rows=4 -s steps=80 -s optim.warmup=10 -s eval_every=20 -s checkpoint_every=40

.PHONY: setup demo test lint faults bench clean-demo test-ray test-slurm test-s3

setup: .venv/installed

# pip 23.2 crashes on lxml's extras, hence the upgrade first.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=24.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/corpus clean examples/dump --out $(DEMO)/clean
	$(BIN)/train tokenizer fit $(DEMO)/clean --vocab 2000 -s held_out=0.1 --out $(DEMO)/tokenizer
	$(BIN)/train tokenizer view $(DEMO)/tokenizer "今天天气不错，我们去吃饭。" --page $(DEMO)/view.html
	$(BIN)/train tokens $(DEMO)/clean --tokenizer $(DEMO)/tokenizer --out $(DEMO)/tokens
	$(BIN)/train data $(DEMO)/tokens --seq-len 256 -s held_out=0.1
	$(BIN)/train plan $(DEMO)/tokens $(SMALL) --no-measure
	$(BIN)/train pretrain $(DEMO)/tokens $(SMALL) --out $(DEMO)/base
	$(BIN)/train eval ppl $(DEMO)/base $(DEMO)/clean --held-out 0.1
	$(BIN)/selfinstruct generate --seeds examples/seeds.jsonl --model template --from-docs $(DEMO)/clean --n 500 \
		--out $(DEMO)/instructions
	$(BIN)/selfinstruct stats $(DEMO)/instructions
	$(BIN)/train sft --from $(DEMO)/base --data examples/seeds.jsonl --data $(DEMO)/instructions --out $(DEMO)/chat \
		-s data.seq_len=512 -s data.held_out=0.1 -s data.weights='{seeds: 1, instructions: 1}' -s batch_rows=4 \
		-s steps=40 -s optim.lr=1e-3 -s optim.warmup=5 -s eval_every=20 -s checkpoint_every=20 -s prompt_tokens=40
	$(BIN)/python examples/ask.py $(DEMO)/chat "春天适合种什么菜？"
	$(BIN)/judge compare base=$(DEMO)/base chat=$(DEMO)/chat --questions examples/questions.jsonl --limit 12 \
		--judge overlap -s answer.max_tokens=40 --out $(DEMO)/judged
	@echo "Open report.html in $(DEMO)/clean, tokenizer, tokens, base, instructions, chat and judged, and $(DEMO)/view.html."

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

# Many machines and S3, each on this one: a Ray cluster of two raylets, Slurm's daemons (as root, with Debian's
# slurm-wlm and munge), moto's S3 server. What they need beside `setup` is installed when it is not there.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

test-ray: setup
	$(BIN)/python -c 'import ray' 2>/dev/null || $(INSTALL) --editable '.[ray]'
	WENHAI_RAY=1 $(BIN)/python -m pytest -rs tests/corpus/test_executor_ray.py

test-slurm: setup
	WENHAI_SLURM=1 $(BIN)/python -m pytest -rs tests/corpus/test_executor_slurm.py

test-s3: setup
	$(BIN)/python -c 'import s3fs, moto.server' 2>/dev/null || $(INSTALL) --editable '.[s3]' 'moto[server]>=5'
	$(BIN)/python -m pytest -rs tests/corpus/test_s3.py

# The full counts of docs/faults.md: about an hour on two cores.
faults: setup
	WENHAI_FULL=1 $(BIN)/python -m pytest -p tests.faults.figures tests/faults tests/corpus tests/runkit tests/train \
		tests/judge tests/selfinstruct --timeout 3600

# Peers are installed beside us, for some of them overwrite modules of ours; what is absent is skipped with a sentence.
# Extractors run in our own environment, in one process with ours.
bench: setup .venv-peers/installed
	$(BIN)/python -c 'import lightgbm, readability, justext' 2>/dev/null || \
		$(INSTALL) lightgbm==4.7.0 readability-lxml==0.9 jusText==3.0.2
	$(BIN)/python bench/page.py

.venv-peers/installed: bench/requirements-peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=24.1'
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --requirement bench/requirements-peers.txt
	touch $@
