// Package hook asks an HTTP service of the operator's own about each message: facts about it are
// posted as JSON, and an action comes back. Question and Answer are the whole of it.
package hook
