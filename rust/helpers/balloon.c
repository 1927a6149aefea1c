// SPDX-License-Identifier: GPL-2.0

#include "helpers.h"
#include <linux/balloon.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/vmstat.h>

__rust_helper void rust_helper_balloon_devinfo_init(struct balloon_dev_info *balloon)
{
	balloon_devinfo_init(balloon);
}

__rust_helper struct list_head *rust_helper_page_lru(struct page *page)
{
	return &page->lru;
}

__rust_helper struct page *rust_helper_lru_page(struct list_head *lru)
{
	return list_entry(lru, struct page, lru);
}

__rust_helper struct page *rust_helper_virt_to_page(void *address)
{
	return virt_to_page(address);
}

__rust_helper unsigned long rust_helper_page_to_pfn(struct page *page)
{
	return page_to_pfn(page);
}

__rust_helper unsigned long rust_helper_totalram_pages(void)
{
	return totalram_pages();
}

__rust_helper unsigned long rust_helper_alloc_pages_bulk(gfp_t flags, unsigned long count,
							 struct page **pages)
{
	return alloc_pages_bulk(flags, count, pages);
}

/* Loops, since a call a page would cost more than what it is for. */
__rust_helper void rust_helper_set_pages_offline(struct page *page, unsigned int count)
{
	while (count--)
		__SetPageOffline(page++);
}

__rust_helper void rust_helper_clear_pages_offline(struct page *page, unsigned int count)
{
	while (count--)
		__ClearPageOffline(page++);
}

/* A kernel without balloons does not count them. */
__rust_helper void rust_helper_count_balloon_inflate(unsigned long pages)
{
#ifdef CONFIG_BALLOON
	count_vm_events(BALLOON_INFLATE, pages);
#endif
}

__rust_helper void rust_helper_count_balloon_deflate(unsigned long pages)
{
#ifdef CONFIG_BALLOON
	count_vm_events(BALLOON_DEFLATE, pages);
#endif
}
