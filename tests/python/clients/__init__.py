"""Tests of host-runner with the clients and SDKs that people use."""
