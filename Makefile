# Recipes are one-liners over cargo and scripts/. `make test` and `make demo` need root.

PREFIX ?= /usr/local
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR
PROGRAMS = $(addprefix $(CARGO_TARGET_DIR)/release/,fip fip-plugin fip-agent)
UNITS = $(DESTDIR)$(PREFIX)/lib/systemd/system
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: all demo test check bench bench-quick bench-programs plugin install setup clean

# Of a command that takes 2 ms the dynamic linker would take a fifth. Only where there is a libc.a.
STATIC = $(if $(wildcard $(shell cc -print-file-name=libc.a)),-C target-feature=+crt-static)

all:
	cargo build --locked --release -p fip-plugin
	cargo rustc --locked --release -p fip-cli --bin fip -- $(STATIC)

demo: setup
	scripts/demo

test: setup
	scripts/leftovers cargo test --locked --workspace --no-fail-fast

check: setup
	scripts/check

bench: bench-programs
	scripts/leftovers $(CARGO_TARGET_DIR)/release/fip-bench

# Built quickly, and few rounds, into benches/results/quick: to see that all works, not to compare.
bench-quick:
	scripts/setup bench
	cargo build --locked -p fip-plugin -p fip-cli -p fip-bench
	scripts/leftovers $(CARGO_TARGET_DIR)/debug/fip-bench --quick

bench-programs:
	scripts/setup bench
	$(MAKE) all
	cargo build --locked --release -p fip-bench
	cargo rustc --locked --release -p fip-bench --bin limit -- $(STATIC)

plugin: setup
	scripts/plugin

# Builds only what is not there: root may have no toolchain.
install: $(PROGRAMS)
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $^
	install -D -m 644 -t $(UNITS) fip-plugin/packaging/fip-plugin.service fip-plugin/packaging/fip-agent.service
	sed -i 's,/usr/local/bin,$(PREFIX)/bin,' $(UNITS)/fip-plugin.service $(UNITS)/fip-agent.service

# One build makes them all.
$(PROGRAMS) &:
	$(MAKE) all

setup:
	scripts/setup

clean:
	cargo clean
