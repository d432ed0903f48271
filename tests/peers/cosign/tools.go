// What is built from this module: nothing of it is ours, the imports only keep the lock file whole.

//go:build tools

package tools

import (
	_ "github.com/sigstore/cosign/v3/cmd/cosign"
)
