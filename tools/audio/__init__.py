"""Audio for tests and benchmarks, made with PyAV: every container and codec that is taken, damaged files, and bombs."""
