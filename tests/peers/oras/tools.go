// What is built from this module: nothing of it is ours, the imports only keep the lock file whole.

//go:build tools

package tools

import (
	_ "oras.land/oras/cmd/oras"
)
