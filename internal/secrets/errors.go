package secrets

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// WriteError is a write of a Secret that failed. Its text quotes nothing of the Secret's content.
type WriteError struct {
	message string
	cause   error
}

// Error says what failed.
func (e *WriteError) Error() string { return e.message }

// Unwrap gives the cause, for errors.Is and errors.As. Its text may quote the Secret's content and must not be
// printed.
func (e *WriteError) Unwrap() error { return e.cause }

// writeError says what a failed write means: a lost race is a *status.WaitError, anything else a *WriteError.
func writeError(err error, secret *corev1.Secret) error {
	where := "Secret " + secret.Namespace + "/" + secret.Name
	switch {
	case err == nil:
		return nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return status.Wait(0, v1alpha1.ReasonDeleting, "namespace %s is being deleted: %s is not written any more", secret.Namespace, where)
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err):
		return status.Wait(retryLostRace, v1alpha1.ReasonProgressing, "%s was changed meanwhile; reading it again", where)
	default:
		return &WriteError{message: fmt.Sprintf("write %s: %s", where, describe(err, secret)), cause: err}
	}
}

// describe gives the API server's words, which quotas and admission webhooks explain themselves in, unless they quote
// the content.
func describe(err error, secret *corev1.Secret) string {
	if !quotes(err.Error(), secret) {
		return err.Error()
	}
	var answer apierrors.APIStatus
	if errors.As(err, &answer) {
		return fmt.Sprintf("refused with %d %s, in words that quote the Secret's content", answer.Status().Code, answer.Status().Reason)
	}
	return "failed, in words that quote the Secret's content"
}

// window is how many bytes in a row of a value make a quotation of it. Fewer would find names that the content shares
// with every message.
const window = 12

// quotes says whether a text has a part of a value of the Secret in it, as it is or in base64; of a short value, all
// of it.
func quotes(text string, secret *corev1.Secret) bool {
	parts := make(map[string]bool, len(text))
	for i := 0; i+window <= len(text); i++ {
		parts[text[i:i+window]] = true
	}
	for _, value := range secret.Data {
		for _, form := range []string{string(value), base64.StdEncoding.EncodeToString(value), base64.RawURLEncoding.EncodeToString(value)} {
			if len(form) < window && form != "" && strings.Contains(text, form) {
				return true
			}
			for i := 0; i+window <= len(form); i++ {
				if parts[form[i:i+window]] {
					return true
				}
			}
		}
	}
	return false
}
