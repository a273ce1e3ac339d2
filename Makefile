# One word for each habit. `make test` and `make demo` need nothing typed before them.
.PHONY: build test lint fmt doc fuzz bench side-by-side soak demo tools static

tools_env = eval "$$(scripts/tools env)"

build:
	cargo build --release

# Unit and integration tests, then real clients against real stores (installed on first use, outside the checkout).
test: tools
	cargo build
	cargo test
	$(tools_env) && pytest tests

lint:
	cargo fmt --check
	cargo clippy --all-targets --all-features -- -D warnings
	cargo clippy --all-targets --no-default-features -- -D warnings

fmt:
	cargo fmt

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features

# Every target for a minute; SECONDS_EACH=600 for longer.
fuzz:
	scripts/fuzz run $(or $(SECONDS_EACH),60)

bench:
	cargo bench

# CPU time a request beside HAProxy; needs haproxy, nginx, wrk and taskset.
side-by-side:
	cargo build --release
	python3 benches/side_by_side.py

# Half an hour at full load: memory flat, nothing leaks; needs nginx, wrk and h2load.
soak:
	cargo build --release
	python3 benches/soak.py

# The container image's steps without an engine: the static binary, run in an empty read-only root. A release build: ten minutes.
# On Debian it needs musl-tools.
static:
	scripts/static

demo:
	@scripts/tools check-build
	cargo run -- demo

tools:
	scripts/tools
