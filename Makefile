# SPDX-License-Identifier: Apache-2.0
# The front door. meson and ninja do the work.
BENCH ?= all
PREFIX ?= /usr/local

.PHONY: build demo check bench install clean help
build:
	devtools/install-packages
	test -f build/build.ninja || meson setup build --prefix=$(PREFIX)
	ninja -C build
demo:
	./demo
check:
	./check
bench: build
	devtools/run-bench $(BENCH)
install: build
	meson install -C build
clean:
	rm -rf build
help:
	@echo 'make          build everything into build/'
	@echo 'make demo     show Raio at work on real packets (a minute)'
	@echo 'make check    build and pass all tests'
	@echo 'make bench    run all benchmarks; BENCH=NAME one of them: engine maps card ports swap start'
	@echo 'make install  install below PREFIX (default /usr/local)'
	@echo 'make clean    remove build/'
.DEFAULT_GOAL := build
