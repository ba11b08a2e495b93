#!/bin/sh
echo "setup: to be written"
