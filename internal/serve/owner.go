package serve

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

// Who is in the directory from the start with --dev.
const (
	devOwner       = acr.DevOwner // what follows are object IDs
	devUser        = "0000ac4e-0000-4000-8000-000000000004"
	devApplication = "0000ac4e-0000-4000-8000-000000000005"
	devPrincipal   = "0000ac4e-0000-4000-8000-000000000006"
)

// ownerName is the first user's.
func (s *Server) ownerName() string { return "owner@" + s.directory.Domain() }

// greetOwner settles who owns the installation and says so. Where nothing listens nobody would read it, so it is left to
// the next start.
func (s *Server) greetOwner(ctx context.Context) error {
	if s.config.HTTP == "" && s.config.HTTPS == "" && s.config.Private == "" {
		return nil
	}
	password, err := s.settleOwner(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("settle the owner: %w", err)
	case s.config.Dev:
		s.owner = fmt.Sprintf("Owners in tenant %s, with the secret %s:\n\n  %s\n  service principal %s\n\n",
			devTenant, devSecret, s.ownerName(), devOwner)
	case password != "":
		s.owner = fmt.Sprintf("The owner, who may do everything in every registry, shown this once:\n\n  %s\n  Password: %s\n  Another: %s admin reset-owner --data %s\n\n", s.ownerName(), password, os.Args[0], s.config.Data)
	}
	return nil
}

// settleOwner sees to it that somebody has the role Owner on the subscription: with --dev a user and a service principal
// with known secrets, else, where nobody has it yet, a user with a random password, which it gives this once.
func (s *Server) settleOwner(ctx context.Context) (password string, err error) {
	if s.config.Dev {
		return "", s.settleDev(ctx)
	}
	list, _, err := s.resources.RoleAssignments(ctx, s.resources.Scope(), resource.AssignmentFilter{AtScope: true}, resource.Page{})
	if err != nil {
		return "", err
	}
	for _, a := range list {
		if a.RoleID == acr.OwnerRole {
			return "", nil
		}
	}
	password = auth.NewPassword()
	u, err := s.directory.CreateUser(ctx, directory.NewUser{Name: s.ownerName(), DisplayName: "Owner", Password: password})
	if errors.Is(err, fault.Exists) { // another node was faster, or this one did not come to an end
		password = ""
		u, err = s.directory.User(ctx, s.ownerName())
	}
	if err != nil {
		return "", err
	}
	return password, s.makeOwner(ctx, u.ID, acr.UserPrincipal)
}

// ResetOwner gives the first user a new random password, and makes it anew where it is gone. Only the system may.
func (s *Server) ResetOwner(ctx context.Context) (name, password string, err error) {
	name, password = s.ownerName(), auth.NewPassword()
	on := true
	u, err := s.directory.UpdateUser(ctx, name, directory.UserChange{Password: &password, Enabled: &on})
	if errors.Is(err, fault.NotFound) {
		u, err = s.directory.CreateUser(ctx, directory.NewUser{Name: name, DisplayName: "Owner", Password: password})
	}
	if err != nil {
		return "", "", err
	}
	return name, password, s.makeOwner(ctx, u.ID, acr.UserPrincipal)
}

// makeOwner assigns the role, which somebody may have already.
func (s *Server) makeOwner(ctx context.Context, principal string, kind acr.PrincipalType) error {
	_, _, err := s.resources.PutRoleAssignment(ctx, acr.RoleAssignment{
		Name: uuid.NewString(), Scope: s.resources.Scope(), RoleID: acr.OwnerRole, PrincipalID: principal, PrincipalType: kind,
	})
	if errors.Is(err, fault.Exists) || errors.Is(err, fault.Conflict) {
		return nil
	}
	return err
}

// settleDev makes what is missing of the well-known owners.
func (s *Server) settleDev(ctx context.Context) error {
	app, err := s.directory.Application(ctx, devApplication)
	if errors.Is(err, fault.NotFound) {
		app, err = s.directory.CreateApplication(ctx, directory.NewApplication{ID: devApplication, AppID: devOwner, DisplayName: "acre owner"})
	}
	if err == nil && len(app.Secrets) == 0 {
		_, _, err = s.directory.AddSecret(ctx, devApplication, directory.NewSecret{DisplayName: "dev", Value: devSecret, End: s.db.Now().AddDate(100, 0, 0)})
	}
	if err != nil {
		return err
	}
	if _, err := s.directory.ServicePrincipal(ctx, devPrincipal); errors.Is(err, fault.NotFound) {
		_, err = s.directory.CreateServicePrincipal(ctx, directory.NewAccount{ID: devPrincipal, AppID: devOwner})
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if _, err := s.directory.User(ctx, devUser); errors.Is(err, fault.NotFound) {
		_, err = s.directory.CreateUser(ctx, directory.NewUser{ID: devUser, Name: s.ownerName(), DisplayName: "Owner", Password: devSecret})
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	return errors.Join(s.makeOwner(ctx, devPrincipal, acr.ServicePrincipal), s.makeOwner(ctx, devUser, acr.UserPrincipal))
}
