# Recipes are one-liners over cargo and scripts/. `make test` and `make demo` need root.

PREFIX ?= /usr/local
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR
PROGRAMS = $(addprefix $(CARGO_TARGET_DIR)/release/,fip fip-plugin fip-agent)
UNITS = $(DESTDIR)$(PREFIX)/lib/systemd/system
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: all demo test check bench plugin install setup clean

all:
	cargo build --locked --release -p fip-cli -p fip-plugin

demo: setup
	scripts/demo

test: setup
	scripts/leftovers cargo test --locked --workspace --no-fail-fast

check: setup
	scripts/check

bench: setup
	scripts/leftovers cargo bench --locked --workspace --bench '*'

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
