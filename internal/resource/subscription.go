package resource

import (
	"context"
	"strings"
)

// CheckSubscription tells whether an ID is the installation's subscription's; "" is none and right. Errors: fault.NotFound.
func (s *Service) CheckSubscription(id string) error {
	if id == "" || strings.EqualFold(id, s.installation.Subscription) {
		return nil
	}
	return missingSubscription(id)
}

// Sees tells whether the caller may know of a subscription or group: who may read it, or has a right on anything in it.
// Errors: fault.Unauthenticated, fault.Denied.
func (s *Service) Sees(ctx context.Context, scope string) error {
	err := control(ctx, scope, "Microsoft.Resources/subscriptions/read")
	if err != nil && s.reaches(ctx, scope) {
		return nil
	}
	return err
}
