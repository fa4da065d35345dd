"""Chat completions in terms of responses: conversion of requests, responses and events."""
