"""Passgate's version, read by the build, too; CHANGELOG.md's newest heading has the same."""

VERSION = "0.2.0"
