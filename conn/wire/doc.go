// Package wire is an SFTP version 3 client: one Session over one byte stream.
package wire
