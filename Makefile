# Recipes are one-liners over cargo and scripts/. `make test` and `make demo` need root.

PREFIX ?= /usr/local
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR
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
install: $(CARGO_TARGET_DIR)/release/fip $(CARGO_TARGET_DIR)/release/fip-plugin
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $^
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's,/usr/local/bin,$(PREFIX)/bin,' fip-plugin/packaging/fip-plugin.service \
		>$(DESTDIR)$(PREFIX)/lib/systemd/system/fip-plugin.service

$(CARGO_TARGET_DIR)/release/fip $(CARGO_TARGET_DIR)/release/fip-plugin:
	$(MAKE) all

setup:
	scripts/setup

clean:
	cargo clean
