// Checks a document of an image, from standard input, by the specification's own schemas:
//
//	oci-schema application/vnd.oci.image.manifest.v1+json <FILE
package main

import (
	"fmt"
	"os"

	"github.com/opencontainers/image-spec/schema"
)

func main() {
	if err := schema.Validator(os.Args[1]).Validate(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
