# make app: the page.  make test: everything that is proven, in small.  make test-long: what is rare, many times over.
# All work on a fresh machine with Python 3.10 - 3.12.
PYTHON ?= python3
BIN := .venv/bin
# Where PyTorch comes from beside pip's own index. TORCH_INDEX=URL is another one, TORCH_INDEX= none.
TORCH_INDEX ?= $(shell $(PYTHON) tools/torch_index.py)
APT := $(shell [ "$$(id -u)" = 0 ] && echo apt-get || echo sudo -n apt-get)

.PHONY: app test test-long check venv browser released clean

app: .venv/app
	$(BIN)/python app.py

test: .venv/dev browser check
	$(BIN)/python -m pytest -n 2

test-long: .venv/dev browser
	$(BIN)/python -m pytest -m 'long and not real_hub' -n 2

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

venv: .venv/app

# An index in a file is added to those that pip is configured with; as an option it would take their place.
.venv/app: requirements.txt constraints.txt
	$(PYTHON) -m venv .venv
	@index="$(TORCH_INDEX)"; echo "$${index:+--extra-index-url $$index}" > .venv/index.txt; cat .venv/index.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -r .venv/index.txt -r requirements.txt
	@touch $@

.venv/dev: .venv/app requirements-dev.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -r requirements-dev.txt
	@touch $@

# Chromium for the tests of the page, where it is missing and we are allowed to; without it those tests are skipped.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { \
	  command -v apt-get >/dev/null && $(APT) update -qq && \
	  $(APT) install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; } || \
	  echo "Chromium could not be installed: the tests of the page will be skipped."

# All that is made from the bundled checkpoints; on a quiet machine, because some of it shows durations.
released: .venv/app
	$(BIN)/python -m tinydiff released

clean:
	rm -rf .venv
