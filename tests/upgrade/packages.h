/* The packages that the tests upgrade from and to: this build's, and those of tests/upgrade/tables. */
#ifndef TESTS_UPGRADE_PACKAGES_H
#define TESTS_UPGRADE_PACKAGES_H

#include "common/veto/veto.h"

enum package { PACKAGE_OLD, PACKAGE_CURRENT, PACKAGE_NEXT, PACKAGES };

extern const VETO_PROVIDER VetoProviders_old[VETO_PROVIDERS];
extern const VETO_PROVIDER VetoProviders_next[VETO_PROVIDERS];

static const VETO_PROVIDER *const packages[PACKAGES] = {
    [PACKAGE_OLD] = VetoProviders_old,
    [PACKAGE_CURRENT] = VetoProviders,
    [PACKAGE_NEXT] = VetoProviders_next,
};

#define XENBUS 0
#define XENVIF 1

#endif
